// SPDX-License-Identifier: Apache-2.0
// The one place that makes threads, and what a thread of ours does first.
#pragma once

#include <pthread.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "vmm/error.hpp"

namespace vmm {

/// What a thread is for, and so what it may ever need of the host.
enum class ThreadKind : std::uint8_t {
    Main,       ///< the loop, and what is made, reset and freed
    Vcpu,       ///< runs a virtual CPU
    BlockIo,    ///< a disk's queues
    NetIo,      ///< a network device's queues
    EntropyIo,  ///< the entropy device's queue
    ConsoleIo,  ///< a virtio console's queues
    BlockPool,  ///< waits for the host in a disk's place
    Helper,     ///< messages, sizes of disks, the end of a removed device
    SetUp,      ///< ends before the guest starts, and is never confined
};

struct ThreadPlan {
    ThreadKind kind = ThreadKind::Helper;
    std::string name;  ///< 15 characters count: pthread_setname_np(3)
    /// Host CPUs that it may run on, by number; empty: wherever its maker may.
    std::vector<unsigned> processors;
    bool logged = true;  ///< the log says which thread it is, with `-l info`
    /// The body calls confine_this_thread() itself, when it has what it needs only once.
    bool confines_itself = false;
};

/// Makes a thread with all signals blocked but faults, which are handled on a stack of their own.
/// The thread inherits what the calling thread has: see ThreadDesk. Fails as no_thread() says, or
/// if the thread may run on none of `processors`. An exception that leaves the body ends the
/// process.
using ThreadBody = std::move_only_function<void()>;
Result<std::jthread> make_thread(ThreadPlan plan, ThreadBody body);

/// "main", "vcpu", "io", "pool" or "helper"
const char* name_of(ThreadKind kind) noexcept;

/// Takes from the calling thread what its kind does not need, for good: a sandbox's. Ends the
/// process if that fails.
using Confine = void (*)(ThreadKind kind) noexcept;

/// From now on threads are confined by this; null: not at all, as before the first call. On the
/// main thread, before there are others that are to be confined.
void confine_threads_by(Confine confine) noexcept;
void confine_this_thread(ThreadKind kind) noexcept;
bool threads_are_confined() noexcept;

/// Blocks every signal but faults, for the calling thread and for threads that it makes while this
/// lives: signals are the main thread's. See pthread_sigmask(3).
class SignalsBlocked {
public:
    SignalsBlocked() noexcept;
    ~SignalsBlocked();
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

private:
    sigset_t before_{};
};

/// Whether the calling thread and another could run at the same time, as sched_getaffinity(2) says
/// of this thread.
bool has_several_processors() noexcept;

/// The host CPUs that threads of this process may be pinned to, in ascending order: those that are
/// online and in its cpuset, whatever the affinity of the calling thread. Costs a thread, which
/// tries it; the caller's affinity stays as it is. See cpuset(7), "Interaction with ...
/// sched_setaffinity(2)". Fails if the thread cannot be made or the kernel refuses.
Result<std::vector<unsigned>> usable_processors();

/// "0-3,5". Ascending numbers that follow each other are a range.
std::string processors_text(std::span<const unsigned> processors);

/// Sends a thread that has just been made to a processor other than the caller's, if there is one:
/// Linux may leave it where it was made, to wait until its maker rests. It may not run on the
/// caller's processor from then on, unless run_as_caller() says so.
void start_elsewhere(pthread_t thread) noexcept;
/// Lets a thread run wherever the calling one may.
void run_as_caller(pthread_t thread) noexcept;

/// Takes the calling thread out of Linux's restartable sequences, which glibc puts every thread
/// into: nothing here uses them, and they cost a write to user memory at each return after a switch
/// of threads. For threads that are switched to and from with each request.
/// Afterwards sched_getcpu() asks the kernel. See rseq(2); glibc manual, "Restartable Sequences".
void leave_restartable_sequences() noexcept;

/// What may limit a process. The numbers are those of getrlimit(2), RLIM_INFINITY included.
struct ThreadLimits {
    bool stack_fits = true;  ///< another stack can be mapped
    rlim_t address_space = RLIM_INFINITY;
    rlim_t data = RLIM_INFINITY;
    rlim_t processes = RLIM_INFINITY;
};
ThreadLimits thread_limits() noexcept;
std::string advice_on_threads(const ThreadLimits& limits);

/// What failed when a thread could not be made, with advice on the limit that was in the way:
/// pthread_create() says EAGAIN for each of them.
Error no_thread(int why, Error::Where where = Error::Where::current());

}  // namespace vmm
