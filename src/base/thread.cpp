#include "vmm/thread.hpp"

#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vmm {

void leave_restartable_sequences() noexcept {
    if (__rseq_size == 0)
        return;  // glibc was told not to, or the kernel has none
    constexpr unsigned kRegisteredSize = sizeof(struct rseq);
    auto* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
    // Refused for a thread that is not registered: as was wanted.
    [[maybe_unused]] const auto done =
        ::syscall(SYS_rseq, area, kRegisteredSize, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

}  // namespace vmm
