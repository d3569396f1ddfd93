// SPDX-License-Identifier: Apache-2.0
// Mutexes that must be taken in one order, which rules out deadlocks; and the order itself.
//
// Every mutex of the product has a rank. A thread may take a mutex only if its rank is above those
// of all mutexes that the thread holds; two of the same rank are never held together. Development
// builds abort at the first lock that breaks this rule, with both names, even if no other thread is
// there to deadlock with: it takes a test of one of the two paths to find a lock order inversion,
// and no race. In a release build these types are std::mutex and std::condition_variable.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#ifndef NDEBUG
#include <chrono>
#include <utility>
#endif

namespace vmm {

/// The order, outermost first. The place of a new mutex follows from the calls that are made while
/// it is held; if there are none it belongs near the end. In brackets: the room that has it.
enum class LockRank : std::uint8_t {
    /// [machine] A pause waits for vCPUs, and these may need any other lock meanwhile.
    VcpuSet,
    /// [pci] The map of BARs. Held while they move, with all that has to follow a BAR.
    PciLayout,
    /// [memory] What memory is where, while observers follow a change: a BAR with memory moves.
    MemoryLayout,
    /// [virtio_pci] Which ioeventfds are connected. Takes Device inside to read registers.
    Doorbells,
    /// [bus] Which device answers at which address. Before Device, because no device may map or
    /// unmap under its own lock: after_write() is there for that.
    AddressSpace,
    /// [pci] ECAM and ports 0xcf8/0xcfc: devices that pass an access on to a function.
    PciConfigAccess,
    /// [devices] IoDevice::lock(), pci::Function::lock(): a device's registers. A device never
    /// calls another one under it; ports of include/vmm are leaf calls and may be used.
    Device,
    /// [virtio_console] Queues that the loop shares with the I/O thread. Inside Device because of
    /// the emergency write.
    ConsolePorts,
    /// [virtio] Commands that the register side posts to an I/O thread.
    WorkerCommands,
    /// [backends] The buffer of a console's output, which devices write to.
    ConsoleOutput,
    // An interrupt on its way to the hypervisor.
    VirtioInterrupt,  ///< [virtio_pci] the ISR register, and the pin's level with it
    PciPin,           ///< [pci] one function's level
    PciLine,          ///< [pci] a wire that functions share
    IrqPinTable,      ///< [kvm] which pins there are
    IrqPin,           ///< [kvm] a pin that wires share, and the ioctl that sets its level
    IoApic,           ///< [kvm] the I/O APIC outside of KVM: driven by pins, changes routes
    IrqRoutes,        ///< [kvm] KVM's table of routes, and irqfds
    FakeVm,           ///< [fake] takes the place of pins and routes
    FakeVcpu,         ///< [fake] a scripted vCPU
    // No calls are made under these.
    ThreadDesk,  ///< [base] threads that are to be made
    BlockPool,   ///< [backends] requests that wait for a thread, or are done
    EventTexts,  ///< [machine] texts for the user about an event
    DiskSizes,   ///< [machine] disks whose size is to be asked for
    // Records may be logged under any lock.
    LogSink,        ///< [base] spdlog's, while it formats a record
    MessageStream,  ///< [base] what has been begun and not written
    MessageWriter,  ///< [base] messages that wait for a file's thread
    StaticList,     ///< [base] entries of lists that signal handlers walk; streams are such
};

#ifdef NDEBUG

using Mutex = std::mutex;
template <LockRank>
using RankedMutex = std::mutex;
class MutexOfRank final : public std::mutex {
public:
    explicit constexpr MutexOfRank(LockRank) noexcept {}
};
using ConditionVariable = std::condition_variable;

#else

/// What a reference to any RankedMutex is. Meets Lockable: std::lock_guard, std::unique_lock and
/// std::scoped_lock work as usual. A try_lock() that succeeds counts as held but is never refused,
/// as it does not wait.
class Mutex {
public:
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    void lock();
    bool try_lock();
    void unlock();

    LockRank rank() const noexcept { return rank_; }

protected:
    explicit constexpr Mutex(LockRank rank) noexcept : rank_{rank} {}
    ~Mutex() = default;

private:
    friend class ConditionVariable;
    void assert_held_alone() const noexcept;

    std::mutex native_;
    const LockRank rank_;
};

template <LockRank Rank>
class RankedMutex final : public Mutex {
public:
    constexpr RankedMutex() noexcept : Mutex{Rank} {}
};

/// For a base class that leaves the rank to those who derive from it.
class MutexOfRank final : public Mutex {
public:
    explicit constexpr MutexOfRank(LockRank rank) noexcept : Mutex{rank} {}
};

/// What is used here of std::condition_variable. A wait without a time limit aborts if the thread
/// holds another mutex than the one that it waits with: that one would stay taken meanwhile.
class ConditionVariable {
public:
    void notify_one() noexcept { native_.notify_one(); }
    void notify_all() noexcept { native_.notify_all(); }

    template <class M, class Done>
    void wait(std::unique_lock<M>& lock, Done done) {
        const Mutex& mutex = *lock.mutex();
        mutex.assert_held_alone();
        while (!done()) {
            Borrowed native{*lock.mutex()};
            native_.wait(native.lock);
        }
    }

    /// False if it was not done within that time.
    template <class M, class Rep, class Period, class Done>
    bool wait_for(std::unique_lock<M>& lock, std::chrono::duration<Rep, Period> time, Done done) {
        const auto until = std::chrono::steady_clock::now() + time;
        while (!done()) {
            Borrowed native{*lock.mutex()};
            if (native_.wait_until(native.lock, until) == std::cv_status::timeout)
                return done();
        }
        return true;
    }

private:
    /// The mutex inside, which stays taken. The thread keeps its rank while it sleeps.
    struct Borrowed {
        explicit Borrowed(Mutex& mutex) : lock{mutex.native_, std::adopt_lock} {}
        ~Borrowed() { lock.release(); }
        Borrowed(const Borrowed&) = delete;
        Borrowed& operator=(const Borrowed&) = delete;
        std::unique_lock<std::mutex> lock;
    };

    std::condition_variable native_;
};

#endif

}  // namespace vmm
