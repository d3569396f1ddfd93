// SPDX-License-Identifier: Apache-2.0
#include "kvm/x86_64/vm.hpp"

#include <linux/kvm.h>

#include <cerrno>
#include <utility>

#include "kvm/device.hpp"
#include "kvm/x86_64/hypervisor.hpp"
#include "kvm/x86_64/msi_route.hpp"
#include "kvm/x86_64/power_on.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm::kvm {
namespace {

constexpr std::uint32_t kPicPins = 16;  // both PICs
constexpr std::uint32_t kIoApicPins = KVM_IOAPIC_NUM_PINS;

kvm_irq_routing_entry pin_route(std::uint32_t gsi, std::uint32_t chip, std::uint32_t pin) {
    kvm_irq_routing_entry route{};
    route.gsi = gsi;
    route.type = KVM_IRQ_ROUTING_IRQCHIP;
    route.u.irqchip.irqchip = chip;
    route.u.irqchip.pin = pin;
    return route;
}

Error cannot_create(Error cause) {
    const int why = cause.os_error();
    auto error = std::move(cause).context("KVM cannot create a virtual machine");
    if (why == EBUSY)
        return std::move(error).hint(
            "Another hypervisor (VirtualBox, VMware) holds the CPU's virtualisation: stop it.");
    return error;
}

}  // namespace

RouteFormat x86_routes(const bool& wide_apic_ids) {
    std::vector<kvm_irq_routing_entry> pins;
    pins.reserve(kPicPins + kIoApicPins);
    for (std::uint32_t gsi = 0; gsi < kPicPins; ++gsi)
        pins.push_back(
            pin_route(gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % 8));
    for (std::uint32_t gsi = 0; gsi < kIoApicPins; ++gsi)
        pins.push_back(pin_route(gsi, KVM_IRQCHIP_IOAPIC, gsi));
    return {.pins = std::move(pins),
            .first_msi_gsi = kIoApicPins,
            .msi = [&wide_apic_ids](MsiMessage m) { return msi_route(m, wide_apic_ids); }};
}

Result<std::unique_ptr<hv::x86::Vm>> create_vm(const char* device) {
    auto system = std::make_unique<System>(VMM_TRY(open(device)), has_several_processors());
    const Handle& kvm = system->kvm;
    auto fd = kvm.call(VMM_REQUEST(KVM_CREATE_VM), 0);
    if (!fd)
        return std::unexpected(cannot_create(std::move(fd).error()));
    Handle vm{UniqueFd{*fd}};
    const int page_size = VMM_TRY(kvm.call(VMM_REQUEST(KVM_GET_VCPU_MMAP_SIZE), 0));

    // Where Intel CPUs without unrestricted guest find tables for real mode; before any vCPU.
    std::uint64_t identity_map = hv::x86::kHypervisorPages.first.value();
    VMM_TRY(vm.call(VMM_REQUEST(KVM_SET_IDENTITY_MAP_ADDR), &identity_map));
    VMM_TRY(vm.call(VMM_REQUEST(KVM_SET_TSS_ADDR), identity_map + 0x1000));
    return std::make_unique<Vm>(std::move(system), std::move(vm),
                                static_cast<std::size_t>(page_size));
}

Vm::Vm(std::unique_ptr<System> system, Handle vm, std::size_t run_page_size)
    : system_{std::move(system)},
      vm_{std::move(vm)},
      run_page_size_{run_page_size},
      host_facts_{system_->kvm, vm_, system_->cpuid.missing_virtualisation()},
      slots_{vm_},
      pins_{[this](std::uint32_t gsi, bool high) {
          if (io_apic_)
              io_apic_->set_pin(gsi, high);
          else
              set_pin_of_kvm(vm_, gsi, high);
      }},
      routes_{vm_, x86_routes(wide_apic_ids_)} {}

Result<> Vm::use_wide_apic_ids(std::uint32_t highest) {
    const int ids = vm_.attempt(KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID);
    if (ids > 0 && highest >= static_cast<std::uint32_t>(ids))
        return std::unexpected(
            Error{ErrorKind::Unsupported, cat("the vCPUs' topology needs APIC ids up to ", highest,
                                              "; the KVM of this host has them up to ", ids - 1)}
                .hint("Give a topology whose counts are powers of two, or fewer vCPUs."));
    kvm_enable_cap wide{};
    wide.cap = KVM_CAP_X2APIC_API;
    wide.args[0] = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
    VMM_TRY_OR(vm_.call(VMM_REQUEST(KVM_ENABLE_CAP), &wide),
               cat("the KVM of this host has no APIC ids above ", hv::x86::kHighestNarrowApicId,
                   ", and the vCPUs need them up to ", highest));
    wide_apic_ids_ = true;
    return {};
}

Result<> Vm::keep_only_local_apics() {
    kvm_enable_cap split{};
    split.cap = KVM_CAP_SPLIT_IRQCHIP;
    split.args[0] = kIoApicPins;
    VMM_TRY_OR(vm_.call(VMM_REQUEST(KVM_ENABLE_CAP), &split), "cannot create the local APICs");
    routes_.drop_pins();
    io_apic_.emplace(vm_, routes_);
    return {};
}

Result<> Vm::create_interrupt_controller() {
    if (wide_apic_ids_)
        return keep_only_local_apics();
    VMM_TRY_OR(vm_.call(VMM_REQUEST(KVM_CREATE_IRQCHIP), 0),
               "cannot create the interrupt controllers");
    return {};
}

Result<std::unique_ptr<IrqLine>> Vm::irq_line(hv::Gsi gsi) {
    if (std::to_underlying(gsi) >= kIoApicPins)
        return std::unexpected(
            Error{ErrorKind::Unsupported, cat("there is no interrupt pin ", std::to_underlying(gsi),
                                              ": the last one is ", kIoApicPins - 1)});
    return pins_.line(gsi);
}

unsigned Vm::max_vcpus() const noexcept {
    constexpr int kWithoutTheCapability = 4;  // api.rst, 4.7
    const int most = vm_.attempt(KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    return static_cast<unsigned>(most > 0 ? most : kWithoutTheCapability);
}

Result<std::unique_ptr<hv::x86::Vcpu>> Vm::create_vcpu(std::uint32_t apic_id) {
    auto fd = VMM_TRY_OR(vm_.call(VMM_REQUEST(KVM_CREATE_VCPU), apic_id),
                         cat("cannot create the vCPU with APIC id ", apic_id));
    Handle vcpu{UniqueFd{fd}};
    const power_on::LocalApic apic{
        .id = apic_id,
        .mode = wide_apic_ids_ ? power_on::ApicMode::X2apic : power_on::ApicMode::Xapic};
    return std::make_unique<Vcpu>(std::move(vcpu), run_page_size_, apic, host_facts_,
                                  io_apic_ ? &*io_apic_ : nullptr);
}

bool Vm::has_tsc_deadline() const noexcept {
    return vm_.attempt(KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
}

Result<> Vm::reset_chips() {
    if (io_apic_) {
        io_apic_->reset();
        return {};
    }
    for (const std::uint32_t chip : {0u + KVM_IRQCHIP_PIC_MASTER, 0u + KVM_IRQCHIP_PIC_SLAVE}) {
        auto pic = power_on::pic(chip);
        VMM_TRY_OR(vm_.call(VMM_REQUEST(KVM_SET_IRQCHIP), &pic), "cannot reset the PICs");
    }
    auto io_apic = power_on::io_apic();
    VMM_TRY_OR(vm_.call(VMM_REQUEST(KVM_SET_IRQCHIP), &io_apic), "cannot reset the I/O APIC");
    return {};
}

Result<> Vm::reset() {
    VMM_TRY(reset_chips());
    kvm_clock_data clock{};
    VMM_TRY_OR(vm_.call(VMM_REQUEST(KVM_SET_CLOCK), &clock), "cannot reset the guest's clock");
    return {};
}

}  // namespace vmm::kvm
