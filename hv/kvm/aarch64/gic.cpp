// SPDX-License-Identifier: Apache-2.0
#include "kvm/aarch64/gic.hpp"

#include <linux/kvm.h>

#include <cerrno>
#include <utility>

#include "kvm/aarch64/gic_reset.hpp"
#include "kvm/aarch64/kvm_device.hpp"

namespace vmm::kvm {
namespace {

using hv::arm::GicVersion;

constexpr std::uint64_t kRedistributorSize = 0x2'0000;  // bytes: two frames of 64 KiB

Result<> set_address(const Handle& device, std::uint64_t which, std::uint64_t address) {
    return set_attribute(device, KVM_DEV_ARM_VGIC_GRP_ADDR, which, &address);
}

}  // namespace

Result<Gic> Gic::create(const Handle& vm, const hv::arm::GicLayout& layout) {
    auto version = GicVersion::V3;
    auto made = create_device(vm, KVM_DEV_TYPE_ARM_VGIC_V3);
    if (!made && made.error().os_error() == ENODEV) {
        version = GicVersion::V2;
        made = create_device(vm, KVM_DEV_TYPE_ARM_VGIC_V2);
    }
    if (!made)
        return std::unexpected(
            std::move(made).error().context("KVM cannot create an interrupt controller (GIC)"));
    Gic gic{*std::move(made), version, layout};
    VMM_TRY(version == GicVersion::V3 ? gic.place_v3() : gic.place_v2());
    const std::uint32_t interrupts = hv::arm::kFirstSpi + layout.spis;
    VMM_TRY(set_attribute(gic.gic_, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts));
    return gic;
}

Result<> Gic::place_v3() {
    VMM_TRY(set_address(gic_, KVM_VGIC_V3_ADDR_TYPE_DIST, layout_.distributor.first.value()));
    // How many, where, and which of the stretches it is: in one number.
    std::uint64_t index = 0;
    for (const GpaRange& range : layout_.redistributors) {
        const std::uint64_t count = range.size / kRedistributorSize;
        VMM_TRY(set_address(gic_, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
                            count << 52 | range.first.value() | index++));
    }
    return {};
}

Result<> Gic::place_v2() {
    VMM_TRY(set_address(gic_, KVM_VGIC_V2_ADDR_TYPE_DIST, layout_.distributor.first.value()));
    return set_address(gic_, KVM_VGIC_V2_ADDR_TYPE_CPU, layout_.cpu_interface.first.value());
}

Result<> Gic::complete(const Handle& vm) {
    VMM_TRY(set_attribute(gic_, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT));
    if (version_ == GicVersion::V2)
        return {};
    its_ = VMM_TRY(create_device(vm, KVM_DEV_TYPE_ARM_VGIC_ITS));
    VMM_TRY(set_address(*its_, KVM_VGIC_ITS_ADDR_TYPE, layout_.its.first.value()));
    return set_attribute(*its_, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT);
}

Result<> Gic::reset(std::span<const std::uint64_t> mpidrs) const {
    const std::uint32_t interrupts = hv::arm::kFirstSpi + layout_.spis;
    if (version_ == GicVersion::V2)
        return reset_gic_v2(gic_, mpidrs.size(), interrupts);
    VMM_TRY(set_attribute(*its_, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_CTRL_RESET));
    return reset_gic_v3(gic_, mpidrs, interrupts);
}

}  // namespace vmm::kvm
