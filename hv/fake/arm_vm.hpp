// SPDX-License-Identifier: Apache-2.0
// An Arm machine without a hypervisor: what fake::Vm records and plays, behind the Arm port. For
// tests of those who use it. Threads: any.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "fake/vm.hpp"
#include "vmm/hv_arm.hpp"

namespace vmm::fake {

/// What the machine was told, and what it answers. Outlives it.
struct ArmRecord {
    unsigned address_bits = 40;
    hv::arm::GicVersion gic_version = hv::arm::GicVersion::V3;
    hv::arm::Granules granules{.kib4 = true, .kib16 = false, .kib64 = true};

    std::optional<hv::arm::Entry> entry;  ///< of the first vCPU, the last one set
    hv::arm::GicLayout gic;
    unsigned gics_completed = 0;
    unsigned gic_resets = 0;
    unsigned vcpu_resets = 0;
};

class ArmVcpu final : public hv::arm::Vcpu {
public:
    ArmVcpu(std::unique_ptr<hv::x86::Vcpu> player, std::uint32_t index, ArmRecord& record)
        : player_{std::move(player)}, index_{index}, record_{record} {}

    Result<hv::VmExit> run() override { return player_->run(); }
    Result<bool> complete_io() override { return player_->complete_io(); }
    void kick() noexcept override { player_->kick(); }

    Result<std::uint64_t> mpidr() override { return 0x8000'0000 | index_; }
    Result<> set_entry(const hv::arm::Entry& entry) override {
        record_.entry = entry;
        return {};
    }
    Result<> prepare() override { return {}; }
    Result<hv::arm::Granules> granules() override { return record_.granules; }
    Result<> reset() override {
        ++record_.vcpu_resets;
        return {};
    }

private:
    std::unique_ptr<hv::x86::Vcpu> player_;
    const std::uint32_t index_;
    ArmRecord& record_;
};

class ArmVm final : public hv::arm::Vm {
public:
    ArmVm(std::unique_ptr<fake::Vm> recorder, ArmRecord& record)
        : recorder_{std::move(recorder)}, record_{record} {}

    Result<> memory_added(const MemoryRegion& region) override {
        return recorder_->memory_added(region);
    }
    void memory_removed(const MemoryRegion& region) noexcept override {
        recorder_->memory_removed(region);
    }
    Result<> privacy_changed(const MemoryRegion& region, GpaRange part, Privacy now) override {
        return recorder_->privacy_changed(region, part, now);
    }
    Result<> connect(const DoorbellAddress& address, int eventfd) override {
        return recorder_->connect(address, eventfd);
    }
    void disconnect(const DoorbellAddress& address, int eventfd) noexcept override {
        recorder_->disconnect(address, eventfd);
    }
    Result<std::unique_ptr<MsiVector>> allocate() override { return recorder_->allocate(); }
    Result<> create_interrupt_controller() override {
        return recorder_->create_interrupt_controller();
    }
    Result<std::unique_ptr<IrqLine>> irq_line(hv::Gsi gsi) override {
        return recorder_->irq_line(gsi);
    }
    unsigned max_vcpus() const noexcept override { return recorder_->max_vcpus(); }

    unsigned address_bits() const noexcept override { return record_.address_bits; }
    bool has_pmu() const noexcept override { return false; }
    void place_gic(const hv::arm::GicLayout& layout) override { record_.gic = layout; }
    hv::arm::GicVersion gic_version() const noexcept override { return record_.gic_version; }
    Result<std::unique_ptr<hv::arm::Vcpu>> create_vcpu(std::uint32_t index) override {
        return std::make_unique<ArmVcpu>(VMM_TRY(recorder_->create_vcpu(index)), index, record_);
    }
    Result<> complete_gic() override {
        ++record_.gics_completed;
        return {};
    }
    Result<> reset(std::span<const std::uint64_t> /*mpidrs*/) override {
        ++record_.gic_resets;
        return {};
    }

private:
    std::unique_ptr<fake::Vm> recorder_;
    ArmRecord& record_;
};

/// Gives it out once.
class ArmHypervisor final : public hv::arm::Hypervisor {
public:
    explicit ArmHypervisor(std::unique_ptr<ArmVm> vm) : vm_{std::move(vm)} {}

    Result<std::unique_ptr<hv::arm::Vm>> create_vm() override {
        if (!vm_)
            return std::unexpected(Error::os("KVM_CREATE_VM", EBUSY));
        return std::move(vm_);
    }

private:
    std::unique_ptr<ArmVm> vm_;
};

}  // namespace vmm::fake
