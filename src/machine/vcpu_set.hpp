// SPDX-License-Identifier: Apache-2.0
// The vCPU threads: they run guest code, answer its port and MMIO accesses, and park when the
// machine wants something else.
//
// Who may do what: the machine's thread starts, pauses, resumes and stops; any thread may hold();
// what a vCPU stopped for comes to the machine as a report, and that vCPU stays parked until
// resume(). Between pause() and resume() no vCPU is inside the hypervisor or a device, so all state
// may be read, saved or replaced.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "bus/bus.hpp"
#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/hv.hpp"
#include "vmm/mutex.hpp"

namespace vmm::machine {

/// Why a vCPU parked of its own.
struct VcpuStop {
    enum class Why : std::uint8_t {
        TripleFault,  ///< x86 shutdown condition
        PowerOff,     ///< asked of the hypervisor itself (PSCI)
        Reset,
        Crash,
        Failed,      ///< the hypervisor cannot go on; `text` explains
        HostFailed,  ///< the host lacks what the vCPU needs, such as a page of RAM
    };
    Why why = Why::Failed;
    std::string text;
    std::string advice;  ///< what the user can do; may be empty
};

class VcpuSet {
public:
    /// Called from vCPU threads, without any lock held.
    using Report = std::move_only_function<void(unsigned index, VcpuStop stop) noexcept>;
    /// Called in the vCPU's own thread before it runs the first time.
    using Prepare = std::move_only_function<Result<>(unsigned index)>;

    VcpuSet(Bus& ports, Bus& mmio, Report report);
    ~VcpuSet();
    VcpuSet(const VcpuSet&) = delete;
    VcpuSet& operator=(const VcpuSet&) = delete;

    /// The thread of vCPU 0, which takes its filter and waits: what makes a vCPU ready to run can
    /// be done meanwhile. The vCPUs outlive the set or are alive until stop() has returned.
    /// `host_cpus`, which outlives start(), says by vCPU where its thread may run; an empty list,
    /// or none, is wherever the caller may.
    Result<> make_first(std::span<hv::Vcpu* const> vcpus, Prepare prepare,
                        std::span<const std::vector<unsigned>> host_cpus = {});
    /// vCPU 0 enters the guest, and runs while the threads of the others are made.
    Result<> start();

    /// From now on a vCPU that leaves the guest does not enter it again until resume(). Does not
    /// wait and kicks nobody: for a device that, called by a vCPU, knows that this vCPU is done.
    void hold() noexcept;

    void pause();   ///< kicks all and waits until all are parked; I/O of the last exit is finished
    void resume();  ///< all run again
    void stop();    ///< ends and joins the threads; nothing can be started again

    // When what was unmapped may be freed. A vCPU that was inside a device when that was unmapped
    // goes on there until its access is done, and may keep a bus's old map until its next one.

    /// Begins a grace period, which is over when each vCPU has left the access that it was in, if
    /// any; those in the guest are kicked for that. Does not wait: `over` is signalled then.
    /// What was unmapped before this call, nobody reaches after the period. `over` outlives the
    /// threads. Gives the period's number.
    std::uint64_t begin_grace_period(const EventFd& over);
    bool grace_period_over(std::uint64_t number);

private:
    enum class Wanted : std::uint8_t { Run, Park, End };
    static constexpr std::uint64_t kParked = ~std::uint64_t{0};

    Result<> make_thread_of(unsigned index);
    bool is_pinned(unsigned index) const;
    void thread_main(unsigned index);
    void run_until_unwanted(unsigned index, BusReader& ports, BusReader& mmio);
    void leave_devices(unsigned index);
    void tell_if_over() noexcept;  // mutex_ held
    static void finish_access(hv::Vcpu& vcpu, BusReader& ports, BusReader& mmio);
    bool park(unsigned index);  // false: end
    void kick_all() noexcept;

    Bus& ports_;
    Bus& mmio_;
    Report report_;
    Prepare prepare_;
    std::span<const std::vector<unsigned>> host_cpus_;
    std::latch started_{1};  // counted down by the main thread: vCPU 0 may go
    std::vector<hv::Vcpu*> vcpus_;

    std::atomic<Wanted> wanted_ = Wanted::Run;  // written under mutex_ or by hold()
    RankedMutex<LockRank::VcpuSet> mutex_;      // over parked_, the two conditions and left_
    ConditionVariable changed_;                 // wanted_ did
    ConditionVariable all_parked_;
    std::size_t parked_ = 0;

    std::atomic<std::uint64_t> period_ = 0;  // the last that was begun; written under mutex_
    const EventFd* period_over_ = nullptr;   // under mutex_
    /// By vCPU: the last period since whose begin it has been outside of all devices; kParked when
    /// it is parked. The vCPU's thread writes its own, under mutex_.
    std::vector<std::uint64_t> left_;

    std::vector<std::jthread> threads_;
};

}  // namespace vmm::machine
