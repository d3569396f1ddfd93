// SPDX-License-Identifier: Apache-2.0
#include "kvm/x86_64/exits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "kvm/x86_64/power_on.hpp"
#include "kvm/x86_64/state.hpp"
#include "kvm/x86_64/vm.hpp"

namespace vmm::kvm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// kvm_run with the page of port data after it, as KVM maps it.
struct KvmExitsTest : testing::Test {
    union Page {
        kvm_run run;
        std::byte bytes[8192];
    };
    Page page{.bytes = {}};
    kvm_run& run = page.run;

    Place in_ring_zero() const {
        Place place{};
        place.registers.rip = 0xffff'ffff'8100'0042;
        place.system.cs.l = 1;
        place.system.cr0 = 0x8000'0001;
        return place;
    }
};

TEST_F(KvmExitsTest, PortWriteOfAStringHasAllItsBytes) {
    run.exit_reason = KVM_EXIT_IO;
    run.io = {
        .direction = KVM_EXIT_IO_OUT, .size = 2, .port = 0x1f0, .count = 2, .data_offset = 4096};
    std::memcpy(&page.bytes[4096], "\x01\x02\x03\x04", 4);

    const auto exit = decode(run);

    const auto out = std::get<hv::exit::PortOut>(exit);
    EXPECT_EQ(out.port, 0x1f0);
    EXPECT_EQ(out.size, AccessSize::Word);
    EXPECT_THAT(out.data, ElementsAre(std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}));
}

TEST_F(KvmExitsTest, AnswerOfAPortReadLandsInThePage) {
    run.exit_reason = KVM_EXIT_IO;
    run.io = {
        .direction = KVM_EXIT_IO_IN, .size = 1, .port = 0x60, .count = 1, .data_offset = 4096};

    const auto exit = decode(run);
    std::get<hv::exit::PortIn>(exit).data[0] = std::byte{0xaa};

    EXPECT_EQ(page.bytes[4096], std::byte{0xaa});
}

TEST_F(KvmExitsTest, MmioLengthIsNeverMoreThanTheBuffer) {
    run.exit_reason = KVM_EXIT_MMIO;
    run.mmio.phys_addr = 0xe000'0004;
    run.mmio.len = 77;

    const auto exit = decode(run);

    const auto read = std::get<hv::exit::MmioRead>(exit);
    EXPECT_EQ(read.at, Gpa{0xe000'0004});
    EXPECT_EQ(read.data.size(), 8U);
}

TEST_F(KvmExitsTest, ShutdownIsATripleFault) {
    run.exit_reason = KVM_EXIT_SHUTDOWN;

    EXPECT_TRUE(std::holds_alternative<hv::exit::TripleFault>(decode(run)));
}

TEST_F(KvmExitsTest, SystemEventsAreTold) {
    run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
    run.system_event.type = KVM_SYSTEM_EVENT_RESET;

    const auto exit = decode(run);

    EXPECT_EQ(std::get<hv::exit::SystemEvent>(exit).kind, hv::exit::SystemEvent::Kind::Reset);
}

TEST_F(KvmExitsTest, ReasonThatWasNotAskedForIsNoExit) {
    run.exit_reason = KVM_EXIT_DEBUG;

    EXPECT_TRUE(std::holds_alternative<hv::exit::Failed>(decode(run)));
    EXPECT_EQ(explain(run, std::nullopt, ""),
              "KVM stopped the vCPU for a reason that was not asked for (exit reason 4)");
}

TEST_F(KvmExitsTest, EmulationFailureShowsBytesPlaceAndAdvice) {
    run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
    run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
    run.emulation_failure.ndata = 4;
    run.emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    run.emulation_failure.insn_size = 3;
    std::memcpy(run.emulation_failure.insn_bytes, "\x0f\x01\xd0", 3);

    EXPECT_EQ(explain(run, in_ring_zero(), "buy another computer"),
              "KVM could not emulate the guest's instruction at 0xffffffff81000042 (64-bit mode, "
              "ring 0); the bytes there: 0f 01 d0; buy another computer");
}

TEST_F(KvmExitsTest, EmulationFailureWithoutBytesIsCodeOutsideOfMemory) {
    run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
    run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
    run.emulation_failure.ndata = 1;
    run.emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    Place place{};
    place.system.cs.base = 0xffff'0000;
    place.registers.rip = 0xfff0;

    EXPECT_EQ(explain(run, place, ""),
              "the guest runs code where there is no memory at 0xfffffff0 (16-bit real mode, "
              "ring 0)");
}

TEST_F(KvmExitsTest, OtherInternalErrorsHaveTheirSentence) {
    run.exit_reason = KVM_EXIT_INTERNAL_ERROR;

    run.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
    EXPECT_THAT(explain(run, std::nullopt, ""), HasSubstr("could not deliver an interrupt"));
    run.internal.suberror = KVM_INTERNAL_ERROR_SIMUL_EX;
    EXPECT_THAT(explain(run, std::nullopt, ""), HasSubstr("an exception while another"));
    run.internal.suberror = KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON;
    run.internal.ndata = 1;
    run.internal.data[0] = 0x55;
    EXPECT_THAT(explain(run, std::nullopt, ""), HasSubstr("KVM does not know (0x55)"));
    run.internal.suberror = 99;
    EXPECT_THAT(explain(run, std::nullopt, ""), HasSubstr("internal error 99"));
}

TEST_F(KvmExitsTest, EntryFailureNamesTheReason) {
    run.exit_reason = KVM_EXIT_FAIL_ENTRY;
    run.fail_entry.hardware_entry_failure_reason = 0x8000'0021;

    EXPECT_EQ(explain(run, std::nullopt, ""),
              "the CPU refused to enter the guest (hardware reason 0x80000021, invalid guest "
              "state)");
}

TEST(KvmStateTest, SegmentThatIsNotPresentIsUnusable) {
    hv::x86::SystemRegisters registers;
    registers.cs = {.base = 0x1000,
                    .limit = 0xffff'ffff,
                    .selector = 8,
                    .type = 11,
                    .dpl = 3,
                    .present = true,
                    .db = false,
                    .s = true,
                    .l = true,
                    .g = true};

    const auto kvm = to_kvm(registers, 0xfee0'0900);

    EXPECT_EQ(kvm.cs.unusable, 0);
    EXPECT_EQ(kvm.cs.dpl, 3);
    EXPECT_EQ(kvm.cs.l, 1);
    EXPECT_EQ(kvm.ldt.unusable, 1);
    EXPECT_EQ(kvm.apic_base, 0xfee0'0900U);
}

TEST(KvmPowerOnTest, OnlyTheFirstProcessorIsTheBootstrapProcessor) {
    EXPECT_EQ(power_on::apic_base({.id = 0}), 0xfee0'0900U);
    EXPECT_EQ(power_on::apic_base({.id = 1}), 0xfee0'0800U);
}

TEST(KvmPowerOnTest, X2apicModeHasAllOfTheIdInItsRegister) {
    constexpr power_on::LocalApic kApic{.id = 300, .mode = power_on::ApicMode::X2apic};

    const auto registers = power_on::local_apic(kApic);

    std::uint32_t id = 0;
    std::uint32_t logical_id = 0;
    std::memcpy(&id, &registers.regs[0x20], sizeof id);
    std::memcpy(&logical_id, &registers.regs[0xd0], sizeof logical_id);
    EXPECT_EQ(id, 300U);
    EXPECT_EQ(logical_id, 0x0012'1000U);
    EXPECT_EQ(power_on::apic_base(kApic), 0xfee0'0c00U);
}

TEST(KvmRoutesTest, PinsKeepTheirRoutes) {
    const bool wide = false;

    const auto format = x86_routes(wide);

    ASSERT_EQ(format.pins.size(), 40U);
    EXPECT_EQ(format.first_msi_gsi, 24U);
    EXPECT_EQ(format.pins[9].gsi, 9U);
    EXPECT_EQ(format.pins[9].u.irqchip.irqchip, std::uint32_t{KVM_IRQCHIP_PIC_SLAVE});
    EXPECT_EQ(format.pins[9].u.irqchip.pin, 1U);
    EXPECT_EQ(format.pins[39].gsi, 23U);
    EXPECT_EQ(format.pins[39].u.irqchip.irqchip, std::uint32_t{KVM_IRQCHIP_IOAPIC});
}

TEST(KvmRoutesTest, OnlyInterruptAddressesAreRouted) {
    const bool wide = false;
    const auto format = x86_routes(wide);

    EXPECT_TRUE(format.msi({0xfee0'1004, 0x41}));
    EXPECT_FALSE(format.msi({0, 0x41}));
    EXPECT_FALSE(format.msi({0x1'fee0'1004, 0x41}));
}

TEST(KvmRoutesTest, WideDestinationMovesToTheUpperHalf) {
    bool wide = false;
    const auto format = x86_routes(wide);

    const auto narrow = format.msi({0xfee0'1024, 0x41});
    wide = true;
    const auto moved = format.msi({0xfee0'1024, 0x41});

    EXPECT_EQ(narrow->address_lo, 0xfee0'1024U);
    EXPECT_EQ(narrow->address_hi, 0U);
    EXPECT_EQ(moved->address_lo, 0xfee0'1004U);
    EXPECT_EQ(moved->address_hi, 0x100U);
}

}  // namespace
}  // namespace vmm::kvm
