// SPDX-License-Identifier: Apache-2.0
// A vCPU that follows a script and remembers what it was told. For tests.
//
// Threads: run() and complete_io() as hv::Vcpu says; everything else from any thread. What a real
// vCPU would do at the end of its program, halt and wait, this one does at the end of its script.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "vmm/hv_x86.hpp"
#include "vmm/mutex.hpp"

namespace vmm::fake {

using Bytes = std::vector<std::byte>;

/// The low bytes of a number, as the guest's bus has them.
Bytes little_endian(std::uint64_t value, std::size_t size);

struct Out {
    std::uint16_t port = 0;
    AccessSize size = AccessSize::Byte;
    Bytes data;  ///< more than `size`: a string instruction
};
struct In {
    std::uint16_t port = 0;
    AccessSize size = AccessSize::Byte;
    std::size_t count = 1;
};
struct MmioWrite {
    Gpa at;
    Bytes data;
};
struct MmioRead {
    Gpa at;
    std::size_t length = 0;
};
/// run() fails as the host would.
struct HostFailure {
    int os_error = 0;
};
/// exit::Failed.
struct Failure {
    std::string what;
};
/// Something that happens inside the guest: no exit.
using Action = std::function<void()>;

using Step = std::variant<Out, In, MmioWrite, MmioRead, HostFailure, Action, hv::exit::Halt,
                          hv::exit::TripleFault, hv::exit::SystemEvent, Failure>;

/// "out %al, port" and its wider sisters.
Step out(std::uint16_t port, std::uint64_t value, AccessSize size = AccessSize::Byte);

class Vcpu final : public hv::x86::Vcpu {
public:
    /// Takes an access before it becomes an exit, because memory or a doorbell is there: what was
    /// read, no bytes for a write. Nothing: it exits.
    using Taker = std::function<std::optional<Bytes>(const Step&)>;

    explicit Vcpu(std::uint32_t apic_id = 0, Taker taker = {})
        : apic_id_{apic_id}, taker_{std::move(taker)} {}

    /// Adds to the script.
    void plan(std::vector<Step> steps);

    /// What the script's reads were answered, in order. An answer counts once the vCPU goes on.
    std::vector<Bytes> answers() const;

    /// False if the script did not come to its end, with the vCPU waiting in run(), in time.
    bool wait_until_idle(std::chrono::milliseconds patience = std::chrono::seconds{10}) const;

    struct Record {
        std::vector<hv::x86::CpuidEntry> cpuid;
        std::vector<hv::x86::Msr> msrs;  ///< all that were set, in order
        hv::x86::Registers registers;
        hv::x86::SystemRegisters system_registers;
        unsigned resets = 0;
        unsigned interruptions = 0;  ///< times that run() gave Interrupted
    };
    Record record() const;
    std::uint32_t apic_id() const { return apic_id_; }

    Result<hv::VmExit> run() override;
    Result<bool> complete_io() override;
    void kick() noexcept override;
    Result<> set_cpuid(std::span<const hv::x86::CpuidEntry> entries) override;
    Result<> set_msrs(std::span<const hv::x86::Msr> msrs) override;
    Result<> set_registers(const hv::x86::Registers& registers) override;
    Result<> set_system_registers(const hv::x86::SystemRegisters& registers) override;
    Result<hv::x86::Registers> registers() override;
    Result<hv::x86::SystemRegisters> system_registers() override;
    Result<> reset() override;

private:
    void take_answer();
    bool happens_inside(const Step& step);
    Result<hv::VmExit> perform(Step step);

    const std::uint32_t apic_id_;
    const Taker taker_;

    mutable RankedMutex<LockRank::FakeVcpu> mutex_;  ///< all that follows
    mutable ConditionVariable changed_;
    std::deque<Step> script_;
    std::vector<Bytes> answers_;
    Record record_;
    bool kicked_ = false;
    bool idle_ = false;
    bool asks_ = false;  ///< the last exit was a read
    Bytes data_;         ///< what the last exit's span points to
    std::string failure_;
};

}  // namespace vmm::fake
