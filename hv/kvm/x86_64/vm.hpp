// SPDX-License-Identifier: Apache-2.0
// A machine of KVM on x86. Private to hv/kvm; made by create_vm().
// Spec: api.rst, section 4 (VM ioctls). Threads: as hv::x86::Vm.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "kvm/doorbells.hpp"
#include "kvm/ioctl.hpp"
#include "kvm/irq_pins.hpp"
#include "kvm/irq_routes.hpp"
#include "kvm/memory_slots.hpp"
#include "kvm/x86_64/io_apic.hpp"
#include "kvm/x86_64/supported_cpuid.hpp"
#include "kvm/x86_64/vcpu.hpp"
#include "vmm/hv_x86.hpp"

namespace vmm::kvm {

/// `wide_apic_ids`: messages may name more than 255 local APICs (KVM_CAP_X2APIC_API).
RouteFormat x86_routes(const bool& wide_apic_ids);

/// /dev/kvm, and what it is asked before there is a machine. Stays where it is.
struct System {
    System(Handle device, bool in_background) : kvm{std::move(device)}, cpuid{kvm, in_background} {}

    const Handle kvm;
    SupportedCpuid cpuid;
};

class Vm final : public hv::x86::Vm {
public:
    Vm(std::unique_ptr<System> system, Handle vm, std::size_t run_page_size);
    Vm(const Vm&) = delete;
    Vm& operator=(const Vm&) = delete;

    Result<> memory_added(const MemoryRegion& region) override { return slots_.add(region); }
    void memory_removed(const MemoryRegion& region) noexcept override { slots_.remove(region); }
    Result<> privacy_changed(const MemoryRegion& /*region*/, GpaRange part, Privacy now) override {
        return slots_.set_privacy(part, now);
    }

    Result<> connect(const DoorbellAddress& address, int eventfd) override {
        return connect_doorbell(vm_, address, eventfd);
    }
    void disconnect(const DoorbellAddress& address, int eventfd) noexcept override {
        disconnect_doorbell(vm_, address, eventfd);
    }

    Result<std::unique_ptr<MsiVector>> allocate() override { return routes_.allocate(); }

    Result<> use_wide_apic_ids(std::uint32_t highest) override;
    Result<> create_interrupt_controller() override;
    IoDevice* io_apic() noexcept override { return io_apic_ ? &*io_apic_ : nullptr; }
    Result<std::unique_ptr<IrqLine>> irq_line(hv::Gsi gsi) override;
    unsigned max_vcpus() const noexcept override;

    Result<std::unique_ptr<hv::x86::Vcpu>> create_vcpu(std::uint32_t apic_id) override;
    Result<std::vector<hv::x86::CpuidEntry>> supported_cpuid() override {
        return system_->cpuid.get();
    }
    bool has_tsc_deadline() const noexcept override;
    Result<> reset() override;

private:
    Result<> keep_only_local_apics();
    Result<> reset_chips();

    const std::unique_ptr<System> system_;
    Handle vm_;
    const std::size_t run_page_size_;
    bool wide_apic_ids_ = false;  // from before the interrupt controller on
    HostFacts host_facts_;
    MemorySlots slots_;
    IrqPins pins_;
    IrqRoutes routes_;
    std::optional<IoApic> io_apic_;
};

}  // namespace vmm::kvm
