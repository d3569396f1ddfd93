// SPDX-License-Identifier: Apache-2.0
// A virtual machine without a hypervisor: records what it was told, its vCPUs follow scripts. What
// they read and write where there is memory causes no exit, but for writes to ROM.
// For tests of those who use the port. Threads: any. vCPUs, lines and vectors must be gone before
// it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "fake/vcpu.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/hv_x86.hpp"
#include "vmm/mutex.hpp"

namespace vmm::fake {

class Vm final : public hv::x86::Vm {
public:
    struct LevelChange {
        hv::Gsi pin;
        bool high;
        friend bool operator==(const LevelChange&, const LevelChange&) = default;
    };

    /// The script of the vCPU that is, or will be, made with this APIC id.
    void plan(std::uint32_t apic_id, std::vector<Step> steps);
    /// Null before it was made; valid while its owner has it.
    Vcpu* vcpu(std::uint32_t apic_id) const;

    /// The guest writes: true if a doorbell took it and signalled its eventfd.
    bool ring(DoorbellAddress::Space space, std::uint64_t at, std::size_t size,
              std::uint64_t value);

    void set_supported_cpuid(std::vector<hv::x86::CpuidEntry> entries);

    std::vector<MemoryRegion> ram() const;
    std::vector<LevelChange> level_changes() const;  ///< of pins, in order
    bool is_high(hv::Gsi pin) const;
    std::vector<std::pair<DoorbellAddress, int>> doorbells() const;
    /// Messages that reached the interrupt controller, in order. Of what another thread wrote into
    /// MsiVector::fd() itself, those that were there at unmask().
    std::vector<MsiMessage> delivered() const;
    /// Of the vectors that are unmasked now.
    std::vector<MsiMessage> unmasked() const;
    bool has_interrupt_controller() const;
    std::optional<std::uint32_t> highest_wide_apic_id() const;  ///< none: was not asked for
    unsigned resets() const;

    Result<> memory_added(const MemoryRegion& region) override;
    void memory_removed(const MemoryRegion& region) noexcept override;
    Result<> privacy_changed(const MemoryRegion& region, GpaRange part, Privacy now) override;
    Result<> connect(const DoorbellAddress& address, int eventfd) override;
    void disconnect(const DoorbellAddress& address, int eventfd) noexcept override;
    Result<std::unique_ptr<MsiVector>> allocate() override;
    Result<> use_wide_apic_ids(std::uint32_t highest) override;
    Result<> create_interrupt_controller() override;
    IoDevice* io_apic() noexcept override { return nullptr; }
    Result<std::unique_ptr<IrqLine>> irq_line(hv::Gsi gsi) override;
    unsigned max_vcpus() const noexcept override { return 64; }
    Result<std::unique_ptr<hv::x86::Vcpu>> create_vcpu(std::uint32_t apic_id) override;
    Result<std::vector<hv::x86::CpuidEntry>> supported_cpuid() override;
    bool has_tsc_deadline() const noexcept override { return true; }
    Result<> reset() override;

private:
    class Line;
    class Vector;

    std::optional<Bytes> take(const Step& step);
    const MemoryRegion* region_with(Gpa at, std::size_t length) const;
    std::optional<Bytes> read_memory(const MmioRead& read) const;
    bool write_memory(const MmioWrite& write);

    mutable RankedMutex<LockRank::FakeVm> mutex_;  ///< all that follows
    std::map<std::uint32_t, std::vector<Step>> plans_;
    std::map<std::uint32_t, Vcpu*> vcpus_;
    std::vector<hv::x86::CpuidEntry> supported_cpuid_;
    std::vector<MemoryRegion> memory_;
    std::vector<LevelChange> level_changes_;
    std::map<hv::Gsi, int> lines_high_;
    std::vector<std::pair<DoorbellAddress, int>> doorbells_;
    std::vector<const Vector*> vectors_;
    std::vector<MsiMessage> delivered_;
    bool interrupt_controller_ = false;
    std::optional<std::uint32_t> highest_wide_apic_id_;
    unsigned resets_ = 0;
};

}  // namespace vmm::fake
