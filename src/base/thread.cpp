// SPDX-License-Identifier: Apache-2.0
#include "vmm/thread.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <semaphore>
#include <system_error>
#include <utility>

#include "vmm/faults.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

Confine g_confine = nullptr;

// A thread that may run on some CPUs only runs nowhere else: it waits here until that is settled.
struct Gate {
    std::binary_semaphore settled{0};
    bool open = false;
};

int pin(pthread_t thread, const std::vector<unsigned>& processors) noexcept {
    const unsigned most = std::ranges::max(processors) + 1;
    cpu_set_t* const set = CPU_ALLOC(most);
    if (set == nullptr)
        return ENOMEM;
    const std::size_t size = CPU_ALLOC_SIZE(most);
    CPU_ZERO_S(size, set);
    for (const unsigned processor : processors)
        CPU_SET_S(processor, size, set);
    const int failed = ::pthread_setaffinity_np(thread, size, set);
    CPU_FREE(set);
    return failed;
}

void log_thread(const ThreadPlan& plan) {
    if (plan.processors.empty())
        log::info("thread ", plan.name, " (", name_of(plan.kind), ") is ", ::gettid());
    else
        log::info("thread ", plan.name, " (", name_of(plan.kind), ") is ", ::gettid(),
                  ", pinned to host CPU ", processors_text(plan.processors));
}

// All that Linux can have at most, 8192.
using AllProcessors = std::array<cpu_set_t, 8192 / CPU_SETSIZE>;

/// Lets the calling thread run wherever the kernel permits, and gives where that is.
Result<std::vector<unsigned>> run_anywhere() {
    AllProcessors set;
    std::memset(set.data(), 0xff, sizeof set);
    // What is not permitted is left out of the set, not refused.
    if (::sched_setaffinity(0, sizeof set, set.data()) != 0)
        return std::unexpected(Error::os("sched_setaffinity", errno));
    if (::sched_getaffinity(0, sizeof set, set.data()) != 0)
        return std::unexpected(Error::os("sched_getaffinity", errno));
    std::vector<unsigned> processors;
    for (unsigned number = 0; number < set.size() * CPU_SETSIZE; ++number)
        if (CPU_ISSET_S(number, sizeof set, set.data()))
            processors.push_back(number);
    return processors;
}

}  // namespace

const char* name_of(ThreadKind kind) noexcept {
    switch (kind) {
        case ThreadKind::Main:
            return "main";
        case ThreadKind::Vcpu:
            return "vcpu";
        case ThreadKind::BlockIo:
        case ThreadKind::NetIo:
        case ThreadKind::EntropyIo:
        case ThreadKind::ConsoleIo:
            return "io";
        case ThreadKind::BlockPool:
            return "pool";
        case ThreadKind::Helper:
        case ThreadKind::SetUp:
            return "helper";
    }
    return "";
}

void confine_threads_by(Confine confine) noexcept {
    g_confine = confine;
}

void confine_this_thread(ThreadKind kind) noexcept {
    if (g_confine != nullptr && kind != ThreadKind::SetUp)
        g_confine(kind);
}

bool threads_are_confined() noexcept {
    return g_confine != nullptr;
}

Result<std::jthread> make_thread(ThreadPlan plan, ThreadBody body) {
    plan.name.resize(std::min<std::size_t>(plan.name.size(), 15));
    const auto processors = plan.processors;
    const auto gate = processors.empty() ? nullptr : std::make_shared<Gate>();
    std::jthread made;
    try {
        const SignalsBlocked blocked;
        made =
            std::jthread{[gate, plan = std::move(plan), body = std::move(body)]() mutable noexcept {
                const FaultStack stack;
                ::pthread_setname_np(::pthread_self(), plan.name.c_str());
                if (gate != nullptr)
                    gate->settled.acquire();
                if (gate != nullptr && !gate->open)
                    return;
                if (plan.logged)
                    log_thread(plan);
                if (!plan.confines_itself)
                    confine_this_thread(plan.kind);
                body();
            }};
    } catch (const std::system_error& failure) {
        return std::unexpected(no_thread(failure.code().value()));
    }
    if (gate == nullptr)
        return made;
    const int failed = pin(made.native_handle(), processors);
    gate->open = failed == 0;
    gate->settled.release();
    if (failed != 0)
        return std::unexpected(
            Error::os("pthread_setaffinity_np", failed)
                .context(cat("let a thread run on host CPU ", processors_text(processors), " only"))
                .hint("These have to be online, and in the process's cpuset: `nproc` and `taskset "
                      "-p $$` tell."));
    return made;
}

SignalsBlocked::SignalsBlocked() noexcept {
    sigset_t most;
    block_asynchronous(most);
    ::pthread_sigmask(SIG_BLOCK, &most, &before_);
}

SignalsBlocked::~SignalsBlocked() {
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool has_several_processors() noexcept {
    cpu_set_t set;
    // Fails where there are more than fit into the set.
    return ::sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) > 1;
}

Result<std::vector<unsigned>> usable_processors() {
    Result<std::vector<unsigned>> usable;
    auto thread =
        VMM_TRY(make_thread({.kind = ThreadKind::SetUp, .name = "affinity", .logged = false},
                            [&usable] { usable = run_anywhere(); }));
    thread.join();
    return usable;
}

std::string processors_text(std::span<const unsigned> processors) {
    std::string text;
    for (std::size_t i = 0; i < processors.size(); ++i) {
        const unsigned first = processors[i];
        while (i + 1 < processors.size() && processors[i + 1] == processors[i] + 1)
            ++i;
        text += cat(text.empty() ? "" : ",", first);
        if (processors[i] != first)
            text += cat("-", processors[i]);
    }
    return text;
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

void run_as_caller(pthread_t thread) noexcept {
    cpu_set_t set;
    // Fails where there are more than fit into the set: then start_elsewhere() did nothing, either.
    if (::sched_getaffinity(0, sizeof set, &set) == 0)
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

std::string advice_on_threads(const ThreadLimits& limits) {
    constexpr const char* kLess = ", or give the machine fewer CPUs and devices.";
    constexpr rlim_t kKiB = 1024;
    if (!limits.stack_fits && limits.address_space != RLIM_INFINITY)
        return cat("Raise the limit on address space (ulimit -v, now ", limits.address_space / kKiB,
                   " KiB): a thread's stack does not fit any more", kLess);
    if (!limits.stack_fits && limits.data != RLIM_INFINITY)
        return cat("Raise the limit on data (ulimit -d, now ", limits.data / kKiB,
                   " KiB): a thread's stack does not fit any more", kLess);
    if (!limits.stack_fits)
        return cat("Free memory on the host: there is none for a thread's stack", kLess);
    if (limits.processes == RLIM_INFINITY)
        return cat(
            "Raise the control group's limit on tasks (pids.max, a systemd unit's TasksMax=)",
            kLess);
    return cat("Raise the limit on the user's processes and threads (ulimit -u, now ",
               limits.processes, ") or the control group's (pids.max, a systemd unit's TasksMax=)",
               kLess);
}

ThreadLimits thread_limits() noexcept {
    ThreadLimits limits;
    rlimit limit{};
    limits.address_space = ::getrlimit(RLIMIT_AS, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
    limits.data = ::getrlimit(RLIMIT_DATA, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
    // Not for those who may pass it: see getrlimit(2).
    if (::geteuid() != 0 && ::getrlimit(RLIMIT_NPROC, &limit) == 0)
        limits.processes = limit.rlim_cur;
    pthread_attr_t attributes;
    std::size_t stack = 0;
    if (::pthread_getattr_default_np(&attributes) == 0) {
        ::pthread_attr_getstacksize(&attributes, &stack);
        ::pthread_attr_destroy(&attributes);
    }
    void* const probe = ::mmap(nullptr, stack, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    limits.stack_fits = probe != MAP_FAILED;
    if (limits.stack_fits)
        ::munmap(probe, stack);
    return limits;
}

Error no_thread(int why, Error::Where where) {
    Error error = Error::os("pthread_create", why, where);
    if (why != EAGAIN)
        return error;
    return std::move(error).hint(advice_on_threads(thread_limits()));
}

}  // namespace vmm
