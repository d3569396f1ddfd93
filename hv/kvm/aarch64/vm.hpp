// SPDX-License-Identifier: Apache-2.0
// A machine of KVM on aarch64. Private to hv/kvm; made by create_vm().
// Spec: api.rst, section 4 (VM ioctls). Threads: as hv::Vm.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "kvm/aarch64/gic.hpp"
#include "kvm/aarch64/vcpu.hpp"
#include "kvm/doorbells.hpp"
#include "kvm/ioctl.hpp"
#include "kvm/irq_pins.hpp"
#include "kvm/irq_routes.hpp"
#include "kvm/memory_slots.hpp"
#include "vmm/hv_arm.hpp"

namespace vmm::kvm {

class Vm final : public hv::arm::Vm {
public:
    struct Parts {
        Handle system;
        Handle vm;
        std::size_t run_page_size = 0;
        unsigned address_bits = 0;
        kvm_vcpu_init target{};  ///< of the first vCPU
    };

    explicit Vm(Parts parts);
    Vm(const Vm&) = delete;
    Vm& operator=(const Vm&) = delete;

    Result<> memory_added(const MemoryRegion& region) override { return slots_.add(region); }
    void memory_removed(const MemoryRegion& region) noexcept override { slots_.remove(region); }
    Result<> privacy_changed(const MemoryRegion& /*region*/, GpaRange part, Privacy now) override {
        return slots_.set_privacy(part, now);
    }

    Result<> connect(const DoorbellAddress& address, int eventfd) override {
        return connect_doorbell(vm(), address, eventfd);
    }
    void disconnect(const DoorbellAddress& address, int eventfd) noexcept override {
        disconnect_doorbell(vm(), address, eventfd);
    }

    Result<std::unique_ptr<MsiVector>> allocate() override { return routes_.allocate(); }

    unsigned address_bits() const noexcept override { return parts_.address_bits; }
    bool has_pmu() const noexcept override;
    void place_gic(const hv::arm::GicLayout& layout) override { layout_ = layout; }
    hv::arm::GicVersion gic_version() const noexcept override { return gic_->version(); }
    Result<> create_interrupt_controller() override;
    Result<> complete_gic() override { return gic_->complete(vm()); }
    Result<std::unique_ptr<IrqLine>> irq_line(hv::Gsi gsi) override;
    unsigned max_vcpus() const noexcept override;

    Result<std::unique_ptr<hv::arm::Vcpu>> create_vcpu(std::uint32_t index) override;
    Result<> reset(std::span<const std::uint64_t> mpidrs) override { return gic_->reset(mpidrs); }

private:
    const Handle& vm() const noexcept { return parts_.vm; }

    const Parts parts_;
    hv::arm::GicLayout layout_;
    MemorySlots slots_;
    IrqPins pins_;
    IrqRoutes routes_;
    std::optional<Gic> gic_;
};

}  // namespace vmm::kvm
