// SPDX-License-Identifier: Apache-2.0
#include "kvm/aarch64/vm.hpp"

#include <linux/kvm.h>

#include <utility>

#include "kvm/aarch64/hypervisor.hpp"
#include "kvm/device.hpp"
#include "vmm/text.hpp"

namespace vmm::kvm {
namespace {

/// GSIs below are the SPIs of any GIC. Spec: IHI 0069, 2.2.
constexpr std::uint32_t kFirstMessage = 1024;

/// KVM looks for the ITS that has this address, and drops what is for none.
std::optional<kvm_irq_routing_msi> message_route(MsiMessage message) {
    kvm_irq_routing_msi route{};
    route.address_lo = static_cast<std::uint32_t>(message.address);
    route.address_hi = static_cast<std::uint32_t>(message.address >> 32);
    route.data = message.data;
    return route;
}

void add(kvm_vcpu_init& target, unsigned feature) {
    target.features[feature / 32] |= 1u << feature % 32;
}

/// What the host's CPUs have and KVM can give to a guest.
Result<kvm_vcpu_init> preferred_target(const Handle& vm) {
    kvm_vcpu_init target{};
    VMM_TRY(vm.call(VMM_REQUEST(KVM_ARM_PREFERRED_TARGET), &target));
    const auto can = [&vm](int capability) {
        return vm.attempt(KVM_CHECK_EXTENSION, capability) > 0;
    };
    add(target, KVM_ARM_VCPU_PSCI_0_2);
    if (can(KVM_CAP_ARM_PMU_V3))
        add(target, KVM_ARM_VCPU_PMU_V3);
    if (can(KVM_CAP_ARM_SVE))
        add(target, KVM_ARM_VCPU_SVE);
    if (can(KVM_CAP_ARM_PTRAUTH_ADDRESS) && can(KVM_CAP_ARM_PTRAUTH_GENERIC)) {
        add(target, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
        add(target, KVM_ARM_VCPU_PTRAUTH_GENERIC);
    }
    return target;
}

/// So that an access without memory behind it, which KVM cannot decode, is told, and not ENOSYS.
void ask_for_undecoded_accesses(const Handle& vm) {
    kvm_enable_cap told{};
    told.cap = KVM_CAP_ARM_NISV_TO_USER;
    vm.attempt(KVM_ENABLE_CAP, &told);
}

}  // namespace

Result<std::unique_ptr<hv::arm::Vm>> create_vm(const char* device) {
    constexpr unsigned kWithoutTheCapability = 40;  // api.rst, 4.2
    auto system = VMM_TRY(open(device));
    const int bits = system.attempt(KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
    const int type = bits > 0 ? KVM_VM_TYPE_ARM_IPA_SIZE(bits) : 0;
    const int fd = VMM_TRY_OR(system.call(VMM_REQUEST(KVM_CREATE_VM), type),
                              "KVM cannot create a virtual machine");
    Handle vm = system.made(UniqueFd{fd});
    const int page_size = VMM_TRY(system.call(VMM_REQUEST(KVM_GET_VCPU_MMAP_SIZE), 0));
    const auto target = VMM_TRY(preferred_target(vm));
    ask_for_undecoded_accesses(vm);
    return std::make_unique<Vm>(
        Vm::Parts{.system = std::move(system),
                  .vm = std::move(vm),
                  .run_page_size = static_cast<std::size_t>(page_size),
                  .address_bits = bits > 0 ? static_cast<unsigned>(bits) : kWithoutTheCapability,
                  .target = target});
}

Vm::Vm(Parts parts)
    : parts_{std::move(parts)},
      slots_{vm()},
      pins_{[this](std::uint32_t gsi, bool high) {
          constexpr std::uint32_t kSpi = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT;
          set_pin_of_kvm(vm(), kSpi | (hv::arm::kFirstSpi + gsi), high);
      }},
      routes_{vm(),
              {.pins = {},
               .first_msi_gsi = kFirstMessage,
               .with_requester = true,
               .msi = message_route}} {}

bool Vm::has_pmu() const noexcept {
    return has(parts_.target, KVM_ARM_VCPU_PMU_V3);
}

Result<> Vm::create_interrupt_controller() {
    gic_ = VMM_TRY(Gic::create(vm(), layout_));
    return {};
}

Result<std::unique_ptr<IrqLine>> Vm::irq_line(hv::Gsi gsi) {
    if (std::to_underlying(gsi) >= layout_.spis)
        return std::unexpected(
            Error{ErrorKind::Unsupported, cat("there is no interrupt pin ", std::to_underlying(gsi),
                                              ": the last one is ", layout_.spis - 1)});
    return pins_.line(gsi);
}

unsigned Vm::max_vcpus() const noexcept {
    constexpr int kWithoutTheCapability = 4;  // api.rst, 4.7
    const int most = vm().attempt(KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    return static_cast<unsigned>(most > 0 ? most : kWithoutTheCapability);
}

Result<std::unique_ptr<hv::arm::Vcpu>> Vm::create_vcpu(std::uint32_t index) {
    auto fd = VMM_TRY_OR(vm().call(VMM_REQUEST(KVM_CREATE_VCPU), index),
                         cat("cannot create vCPU ", index));
    auto target = parts_.target;
    if (index != 0)
        add(target, KVM_ARM_VCPU_POWER_OFF);
    auto vcpu = std::make_unique<Vcpu>(vm().made(UniqueFd{fd}), parts_.run_page_size, target);
    VMM_TRY(vcpu->reset());
    return vcpu;
}

}  // namespace vmm::kvm
