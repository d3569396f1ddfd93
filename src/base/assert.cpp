// SPDX-License-Identifier: Apache-2.0
#include "vmm/assert.hpp"

#include <chrono>
#include <cstdlib>

#include "vmm/last_words.hpp"

namespace vmm {

void assertion_failed(const char* condition, const char* file, unsigned line) noexcept {
    LastWords words;
    words.add("vmm: bug: ").add(condition).add(" does not hold at ").add(file).add(":").add(line);
    words.add("\n").say(std::chrono::milliseconds{500});
    std::abort();
}

}  // namespace vmm
