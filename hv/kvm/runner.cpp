#include "kvm/runner.hpp"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

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

/// Prepares the calling thread for kicks when it comes here first.
pid_t this_thread() noexcept {
    thread_local pid_t known = 0;
    if (known == 0) [[unlikely]] {
        sigset_t kick;
        sigemptyset(&kick);
        sigaddset(&kick, kick_signal());
        ::pthread_sigmask(SIG_UNBLOCK, &kick, nullptr);
        known = ::gettid();
    }
    return known;
}

Error cannot_run(int why) {
    auto error = Error::os("KVM_RUN", why).context("KVM cannot run the vCPU");
    if (why == EFAULT)
        return std::move(error).hint(
            "the guest touched RAM that the host could not provide: look whether the file behind "
            "it was truncated or the pool of huge pages is empty");
    return error;
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

Runner::Runner(Handle vcpu, std::size_t page_size)
    : vcpu_{std::move(vcpu)}, page_{page_size} {
    install_kick_handler();
}

/// A kick before this only left kicked_; one that comes now sees the page or is seen here.
Result<> Runner::prepare() {
    if (page_.get() != nullptr) [[likely]]
        return {};
    VMM_TRY(page_.map(vcpu_));
    if (kicked_.load())
        immediate_exit().store(1);
    return {};
}

int Runner::enter() noexcept {
    // Before KVM looks at immediate_exit, in the one order that kick() sees too.
    inside_.store(this_thread(), std::memory_order_seq_cst);
    const int why = ::ioctl(vcpu_.fd(), KVM_RUN, 0) < 0 ? errno : 0;
    inside_.store(0, std::memory_order_release);
    return why;
}

Result<Runner::Outcome> Runner::run() {
    if (std::exchange(exit_waits_, false)) [[unlikely]]
        return Outcome::Exit;
    VMM_TRY(prepare());
    for (;;) {
        const int why = enter();
        if (why == 0 && page().exit_reason != KVM_EXIT_INTR) [[likely]]
            return Outcome::Exit;
        if (why == 0 || why == EINTR) {
            // Exchange, so that what the kicker wrote before its kick is seen by our caller. A
            // kick between the two lines leaves kicked_ set: one needless Interrupted at most.
            kicked_.exchange(false);
            immediate_exit().exchange(0);
            return Outcome::Interrupted;
        }
        if (why != EAGAIN)  // an INIT arrived at a waiting vCPU: now it waits for SIPI
            return std::unexpected(cannot_run(why));
    }
}

Result<bool> Runner::complete_io() {
    if (exit_waits_)
        return false;
    VMM_TRY(prepare());
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
