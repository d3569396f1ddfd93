#include "vmm/thread.hpp"

#include <sched.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vmm {

SignalsBlocked::SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() {
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool has_several_processors() noexcept {
    cpu_set_t set;
    // Fails where there are more than fit into the set.
    return ::sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) > 1;
}

void start_elsewhere(pthread_t thread) noexcept {
    const int here = ::sched_getcpu();
    cpu_set_t set;
    if (here < 0 || ::sched_getaffinity(0, sizeof set, &set) != 0)
        return;
    CPU_CLR(static_cast<unsigned>(here), &set);
    // Refused if nothing is left: then it stays.
    ::pthread_setaffinity_np(thread, sizeof set, &set);
}

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
