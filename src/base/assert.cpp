#include "vmm/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace vmm {

void assertion_failed(const char* condition, const char* file, unsigned line) noexcept {
    std::fprintf(stderr, "vmm: bug: %s does not hold at %s:%u\n", condition, file, line);
    std::abort();
}

}  // namespace vmm
