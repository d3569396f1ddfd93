// SPDX-License-Identifier: Apache-2.0
// The constants against a vCPU and chips that KVM has just made. Needs /dev/kvm.
#include "kvm/x86_64/power_on.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "kvm/device.hpp"
#include "kvm/flex_array.hpp"
#include "kvm/x86_64/state.hpp"
#include "vmm/text.hpp"

namespace vmm::kvm {
namespace {

using testing::IsEmpty;

struct KvmPowerOnStateTest : testing::Test {
    void SetUp() override {
        auto kvm = open();
        if (!kvm)
            GTEST_SKIP() << kvm.error().one_line();
        vm.emplace(make(*kvm, KVM_CREATE_VM, 0));
        ASSERT_GE(vm->attempt(KVM_CREATE_IRQCHIP, 0), 0);
        vcpus.reserve(2);
        vcpus.push_back(make(*vm, KVM_CREATE_VCPU, 0));
        vcpus.push_back(make(*vm, KVM_CREATE_VCPU, 1));
    }

    static Handle make(const Handle& from, unsigned long request, int argument) {
        return Handle{UniqueFd{from.attempt(request, argument)}};
    }

    template <class T>
    static T get(const Handle& from, unsigned long request, T value = {}) {
        EXPECT_GE(from.attempt(request, &value), 0) << request;
        return value;
    }

    /// "offset: ours, theirs" for the words that differ.
    static std::vector<std::string> differences(const kvm_lapic_state& ours,
                                                const kvm_lapic_state& theirs) {
        std::vector<std::string> all;
        for (std::size_t at = 0; at < sizeof ours.regs; at += 0x10) {
            std::uint32_t a = 0;
            std::uint32_t b = 0;
            std::memcpy(&a, &ours.regs[at], 4);
            std::memcpy(&b, &theirs.regs[at], 4);
            if (a != b && at != 0x30)  // the version is KVM's own
                all.push_back(cat(Hex{at}, ": ", Hex{a}, ", ", Hex{b}));
        }
        return all;
    }

    std::optional<Handle> vm;
    std::vector<Handle> vcpus;
};

TEST_F(KvmPowerOnStateTest, LocalApics) {
    EXPECT_THAT(
        differences(power_on::local_apic({.id = 0}), get<kvm_lapic_state>(vcpus[0], KVM_GET_LAPIC)),
        IsEmpty());
    EXPECT_THAT(
        differences(power_on::local_apic({.id = 1}), get<kvm_lapic_state>(vcpus[1], KVM_GET_LAPIC)),
        IsEmpty());
}

/// A machine whose APIC ids are wide, with vCPUs 0 and 300 in the mode that Vcpu puts them into.
struct KvmWideApicTest : KvmPowerOnStateTest {
    static constexpr std::array kApics{
        power_on::LocalApic{.id = 0, .mode = power_on::ApicMode::X2apic},
        power_on::LocalApic{.id = 300, .mode = power_on::ApicMode::X2apic}};

    void SetUp() override {
        auto kvm = open();
        if (!kvm)
            GTEST_SKIP() << kvm.error().one_line();
        vm.emplace(make(*kvm, KVM_CREATE_VM, 0));
        enable(KVM_CAP_X2APIC_API,
               KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
        enable(KVM_CAP_SPLIT_IRQCHIP, 24);
        constexpr std::uint32_t kMost = 256;
        FlexArray<ListHeader, kvm_cpuid_entry2> supported{kMost};
        supported.header()->count = kMost;
        ASSERT_GE(kvm->attempt(with_size(KVM_GET_SUPPORTED_CPUID, sizeof(ListHeader)),
                               supported.header()),
                  0);
        for (const auto& apic : kApics) {
            vcpus.push_back(make(*vm, KVM_CREATE_VCPU, static_cast<int>(apic.id)));
            ASSERT_GE(vcpus.back().attempt(with_size(KVM_SET_CPUID2, sizeof(ListHeader)),
                                           supported.header()),
                      0);
            auto registers = get<kvm_sregs>(vcpus.back(), KVM_GET_SREGS);
            registers.apic_base = power_on::apic_base(apic);
            ASSERT_GE(vcpus.back().attempt(KVM_SET_SREGS, &registers), 0);
        }
    }

    void enable(std::uint32_t capability, std::uint64_t argument) const {
        kvm_enable_cap what{};
        what.cap = capability;
        what.args[0] = argument;
        ASSERT_GE(vm->attempt(KVM_ENABLE_CAP, &what), 0) << capability;
    }
};

TEST_F(KvmWideApicTest, LocalApicsInX2apicMode) {
    for (std::size_t i = 0; i < kApics.size(); ++i) {
        auto ours = power_on::local_apic(kApics[i]);
        EXPECT_THAT(differences(ours, get<kvm_lapic_state>(vcpus[i], KVM_GET_LAPIC)), IsEmpty());
        EXPECT_GE(vcpus[i].attempt(KVM_SET_LAPIC, &ours), 0);  // as a reset does
        EXPECT_EQ(get<kvm_sregs>(vcpus[i], KVM_GET_SREGS).apic_base,
                  power_on::apic_base(kApics[i]));
    }
}

TEST_F(KvmPowerOnStateTest, Pics) {
    for (const std::uint32_t chip : {0u + KVM_IRQCHIP_PIC_MASTER, 0u + KVM_IRQCHIP_PIC_SLAVE}) {
        const auto ours = power_on::pic(chip);
        const auto theirs = get<kvm_irqchip>(*vm, KVM_GET_IRQCHIP, {.chip_id = chip});
        EXPECT_EQ(std::memcmp(&ours.chip.pic, &theirs.chip.pic, sizeof ours.chip.pic), 0) << chip;
    }
}

TEST_F(KvmPowerOnStateTest, IoApic) {
    const auto ours = power_on::io_apic();
    const auto theirs = get<kvm_irqchip>(*vm, KVM_GET_IRQCHIP, {.chip_id = KVM_IRQCHIP_IOAPIC});

    EXPECT_EQ(std::memcmp(&ours.chip.ioapic, &theirs.chip.ioapic, sizeof ours.chip.ioapic), 0);
}

TEST_F(KvmPowerOnStateTest, SystemRegisters) {
    const auto ours = to_kvm(power_on::system_registers(), power_on::apic_base({.id = 0}));
    const auto theirs = get<kvm_sregs>(vcpus[0], KVM_GET_SREGS);
    const auto second = get<kvm_sregs>(vcpus[1], KVM_GET_SREGS);

    EXPECT_EQ(ours.apic_base, theirs.apic_base);
    EXPECT_EQ(power_on::apic_base({.id = 1}), second.apic_base);
    EXPECT_EQ(ours.cr0, theirs.cr0);
    EXPECT_EQ(ours.cr4, theirs.cr4);
    EXPECT_EQ(ours.efer, theirs.efer);
    EXPECT_EQ(ours.cs.base, theirs.cs.base);
    EXPECT_EQ(ours.cs.selector, theirs.cs.selector);
    EXPECT_EQ(ours.cs.limit, theirs.cs.limit);
    EXPECT_EQ(ours.cs.type, theirs.cs.type);
    EXPECT_EQ(ours.ds.type, theirs.ds.type);
    EXPECT_EQ(ours.tr.type, theirs.tr.type);
    EXPECT_EQ(ours.ldt.type, theirs.ldt.type);
    EXPECT_EQ(ours.idt.limit, theirs.idt.limit);
}

TEST_F(KvmPowerOnStateTest, DebugRegistersAndFpu) {
    const auto ours = power_on::debug_registers();
    const auto theirs = get<kvm_debugregs>(vcpus[0], KVM_GET_DEBUGREGS);
    const auto fpu = get<kvm_fpu>(vcpus[0], KVM_GET_FPU);
    std::vector<std::uint32_t> xsave(1024);
    power_on::set_fpu_controls(xsave);

    EXPECT_EQ(ours.dr6, theirs.dr6);
    EXPECT_EQ(ours.dr7, theirs.dr7);
    EXPECT_EQ(xsave[0], fpu.fcw);
    EXPECT_EQ(xsave[6], 0x1f80U);  // KVM shows zero until the guest uses SSE
}

TEST_F(KvmPowerOnStateTest, Msrs) {
    constexpr std::uint32_t kTimeStampCounter = 0x10;  // runs
    std::vector<std::string> differ;
    unsigned read = 0;
    for (const auto& msr : power_on::msrs()) {
        FlexArray<ListHeader, kvm_msr_entry> one{1};
        one.header()->count = 1;
        one.entries()[0].index = msr.index;
        if (vcpus[0].attempt(with_size(KVM_GET_MSRS, sizeof(ListHeader)), one.header()) != 1)
            continue;  // not on this host
        ++read;
        if (one.entries()[0].data != msr.value && msr.index != kTimeStampCounter)
            differ.push_back(
                cat(Hex{msr.index}, ": ", Hex{msr.value}, ", ", Hex{one.entries()[0].data}));
    }

    EXPECT_THAT(differ, IsEmpty());
    EXPECT_GT(read, 40U);
}

}  // namespace
}  // namespace vmm::kvm
