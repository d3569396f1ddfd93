// SPDX-License-Identifier: Apache-2.0
// A vCPU's descriptor, its shared page, and the race-free way in and out of KVM_RUN.
// Private to hv/kvm. Spec: api.rst, 4.10 KVM_RUN, 5 the kvm_run structure (immediate_exit).
//
// A kick does two things, in this order: it sets immediate_exit in the shared page, then it sends
// a signal to the thread that is inside KVM_RUN, if there is one. KVM looks at immediate_exit
// after it can no longer miss a signal: if the thread is still on its way in, it sees the flag; if
// it is in the guest or asleep, the signal gets it out. The flag stays until KVM_RUN has returned
// with EINTR, so a kick that comes between two runs ends the next one.
//
// The signal's handler does nothing; it must only not be blocked in a thread that runs a vCPU, so
// the first run() of a thread unblocks it there. (KVM_SET_SIGNAL_MASK would do the same, at the
// cost of two changes of the signal mask on each KVM_RUN.) Outside of KVM_RUN no signal is sent,
// so that system calls of devices are not interrupted; one that just missed costs them a restart.
#pragma once

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "kvm/ioctl.hpp"

namespace vmm::kvm {

/// The mapping of kvm_run. Owner. Made by the vCPU's own thread when it first runs: with many vCPUs
/// their mappings would otherwise hold up the first one.
class RunPage {
public:
    explicit RunPage(std::size_t size) : size_{size} {}
    RunPage(const RunPage&) = delete;
    RunPage& operator=(const RunPage&) = delete;
    ~RunPage();

    Result<> map(const Handle& vcpu);
    kvm_run* get() const noexcept { return page_.load(); }  ///< null before map()

private:
    std::atomic<kvm_run*> page_ = nullptr;
    std::size_t size_;
};

/// Threads: kick() any; the rest as hv::Vcpu.
class Runner {
public:
    /// Also installs the signal's handler, once in a process.
    Runner(Handle vcpu, std::size_t page_size);
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;

    /// Before the first run(), by the thread that will run it.
    Result<> prepare();
    bool is_prepared() const noexcept { return page_.get() != nullptr; }

    /// Runs the guest. 0: page() says what it wants. EINTR: kicked, or a signal came. Anything else
    /// is the host's failure, for cannot_run(). Inline and without a Result, because after each
    /// exit caches and branch predictors are cold.
    int run() noexcept;
    static Error cannot_run(int why);

    /// Ends pending I/O as hv::Vcpu::complete_io() says. False: page() has another exit.
    Result<bool> complete_io();

    /// Gives up the exit that complete_io() left.
    void drop_exit() noexcept { exit_waits_ = false; }

    void kick() noexcept;

    const Handle& vcpu() const noexcept { return vcpu_; }
    kvm_run& page() const noexcept { return *page_.get(); }  ///< after prepare()

private:
    int enter() noexcept;
    int interrupted() noexcept;
    static pid_t introduce_thread() noexcept;
    std::atomic_ref<__u8> immediate_exit() const noexcept {
        return std::atomic_ref{page().immediate_exit};
    }

    Handle vcpu_;
    RunPage page_;
    std::atomic<pid_t> inside_ = 0;     ///< the thread in KVM_RUN, or about to be
    std::atomic<bool> kicked_ = false;  ///< someone else than complete_io() set immediate_exit
    bool exit_waits_ = false;           ///< complete_io() left an exit for run()
};

inline int Runner::enter() noexcept {
    thread_local pid_t this_thread = 0;
    if (this_thread == 0) [[unlikely]]
        this_thread = introduce_thread();
    // Before KVM looks at immediate_exit, in the one order that kick() sees too.
    inside_.store(this_thread, std::memory_order_seq_cst);
    const int why = ::ioctl(vcpu_.fd(), KVM_RUN, 0) < 0 ? errno : 0;
    inside_.store(0, std::memory_order_release);
    return why;
}

inline int Runner::run() noexcept {
    if (exit_waits_) [[unlikely]] {
        exit_waits_ = false;
        return 0;
    }
    for (;;) {
        const int why = enter();
        if (why == 0 && page().exit_reason != KVM_EXIT_INTR) [[likely]]
            return 0;
        if (why == 0 || why == EINTR)
            return interrupted();
        if (why != EAGAIN)  // an INIT arrived at a waiting vCPU: now it waits for SIPI
            return why;
    }
}

}  // namespace vmm::kvm
