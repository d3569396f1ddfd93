// SPDX-License-Identifier: Apache-2.0
#include "kvm/runner.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

namespace vmm::kvm {
namespace {

int kick_signal() noexcept {
    return SIGRTMIN;
}

void install_kick_handler() {
    static const bool installed = [] {
        struct sigaction action {};
        action.sa_handler = [](int) {};  // arriving is all it has to do
        action.sa_flags = SA_RESTART;
        sigemptyset(&action.sa_mask);
        return ::sigaction(kick_signal(), &action, nullptr) == 0;
    }();
    static_cast<void>(installed);
}

}  // namespace

Result<> RunPage::map(const Handle& vcpu) {
    void* page = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd(), 0);
    if (page == MAP_FAILED)
        return std::unexpected(Error::os("mmap", errno).context("cannot map a vCPU's run page"));
    page_.store(static_cast<kvm_run*>(page));
    return {};
}

RunPage::~RunPage() {
    if (page_ != nullptr)
        ::munmap(page_, size_);
}

Runner::Runner(Handle vcpu, std::size_t page_size) : vcpu_{std::move(vcpu)}, page_{page_size} {
    install_kick_handler();
}

/// A kick before this only left kicked_; one that comes now sees the page or is seen here.
Result<> Runner::prepare() {
    VMM_TRY(page_.map(vcpu_));
    if (kicked_.load())
        immediate_exit().store(1);
    return {};
}

/// Prepares the calling thread for kicks when it comes here first.
pid_t Runner::introduce_thread() noexcept {
    sigset_t kick;
    sigemptyset(&kick);
    sigaddset(&kick, kick_signal());
    ::pthread_sigmask(SIG_UNBLOCK, &kick, nullptr);
    return ::gettid();
}

Error Runner::cannot_run(int why) {
    auto error = Error::os("KVM_RUN", why).context("KVM cannot run the vCPU");
    if (why == EFAULT)
        return std::move(error).hint(
            "The guest touched RAM that the host could not provide: see whether the file behind it "
            "was truncated, its file system is full, or the pool of huge pages is empty.");
    return error;
}

int Runner::interrupted() noexcept {
    // Exchange, so that what the kicker wrote before its kick is seen by our caller. A kick between
    // the two lines leaves kicked_ set: one needless Interrupted at most.
    kicked_.exchange(false);
    immediate_exit().exchange(0);
    return EINTR;
}

Result<bool> Runner::complete_io() {
    if (exit_waits_)
        return false;
    if (!is_prepared())
        return true;  // it never ran
    immediate_exit().store(1);
    int why = 0;
    do
        why = enter();
    while (why == EAGAIN);
    immediate_exit().store(0);
    if (kicked_.load())  // meanwhile or before: it was meant for run()
        immediate_exit().store(1);
    if (why == EINTR || (why == 0 && page().exit_reason == KVM_EXIT_INTR))
        return true;
    if (why != 0)
        return std::unexpected(cannot_run(why));
    exit_waits_ = true;
    return false;
}

void Runner::kick() noexcept {
    kicked_.store(true);
    if (page_.get() != nullptr)
        immediate_exit().store(1);
    if (const pid_t thread = inside_.load(); thread != 0)
        ::tgkill(::getpid(), thread, kick_signal());
}

}  // namespace vmm::kvm
