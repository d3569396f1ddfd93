// SPDX-License-Identifier: Apache-2.0
#include "x86_64/acpi/tables.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "x86_64/acpi/sample_tables.hpp"

namespace vmm::x86_64 {
namespace {

using testing::HasSubstr;

std::string text(std::span<const std::byte> bytes) {
    std::string chars;
    for (const std::byte b : bytes)
        chars.push_back(static_cast<char>(b));
    return chars;
}

std::string hex(std::span<const std::byte> bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string digits;
    for (const std::byte b : bytes) {
        digits.push_back(kDigits[std::to_integer<unsigned>(b) >> 4]);
        digits.push_back(kDigits[std::to_integer<unsigned>(b) & 0xf]);
    }
    return digits;
}

Tables plain(std::span<const std::uint32_t> ids) {
    return build_tables({.apic_ids = ids}, kRsdp);
}

TEST(AcpiTablesTest, RsdpLeadsToTheXsdtAndBothSumsAreZero) {
    const auto ids = apic_ids(2);
    const Tables tables = plain(ids);
    const auto rsdp = TableView{tables}.rsdp();

    EXPECT_EQ(tables.rsdp, kRsdp);
    EXPECT_EQ(text(rsdp.first(8)), "RSD PTR ");
    EXPECT_EQ(little_endian(rsdp, 15, 1), 2U);   // revision
    EXPECT_EQ(little_endian(rsdp, 16, 4), 0U);   // no RSDT
    EXPECT_EQ(little_endian(rsdp, 20, 4), 36U);  // length
    EXPECT_EQ(sum_of(rsdp.first(20)), 0U);
    EXPECT_EQ(sum_of(rsdp), 0U);
    EXPECT_EQ(text(TableView{tables}.xsdt().first(4)), "XSDT");
}

class AcpiTableHeaderTest : public testing::TestWithParam<const char*> {};

TEST_P(AcpiTableHeaderTest, LengthAndChecksumHold) {
    const auto ids = apic_ids(32);
    const SamplePci pci;
    const Tables tables = build_tables({.apic_ids = ids, .pci = pci.host()}, kRsdp);
    const auto table = std::string_view{GetParam()} == "XSDT" ? TableView{tables}.xsdt()
                                                              : TableView{tables}.table(GetParam());

    ASSERT_GE(table.size(), 36U);
    EXPECT_EQ(text(table.first(4)), GetParam());
    EXPECT_EQ(sum_of(table), 0U);
    EXPECT_EQ(text(table.subspan(10, 6)), "VMM   ");
    EXPECT_EQ((table.data() - tables.bytes.data()) % 16, 0);
}

INSTANTIATE_TEST_SUITE_P(All, AcpiTableHeaderTest,
                         testing::Values("XSDT", "FACP", "APIC", "MCFG", "DSDT"));

TEST(AcpiTablesTest, SameInputGivesSameBytes) {
    const auto ids = apic_ids(32);
    const SamplePci pci;
    const TablesConfig config{.apic_ids = ids, .pci = pci.host()};

    EXPECT_EQ(build_tables(config, kRsdp).bytes, build_tables(config, kRsdp).bytes);
}

TEST(AcpiTablesTest, AnywhereElseOnlyAddressesAndChecksumsDiffer) {
    const auto ids = apic_ids(1);
    const Tables high = build_tables({.apic_ids = ids}, Gpa{0x1'2345'6780});

    EXPECT_EQ(high.rsdp, Gpa{0x1'2345'6780});
    EXPECT_EQ(little_endian(TableView{high}.table("FACP"), 40, 4), 0U);  // DSDT: too far
    EXPECT_EQ(little_endian(TableView{high}.table("FACP"), 140, 8), 0x1'2345'67b0U);
    EXPECT_EQ(sum_of(TableView{high}.table("DSDT")), 0U);
}

TEST(AcpiTablesTest, ThreeHundredCpusWithPciFitIntoTheirPlace) {
    const auto ids = apic_ids(300);
    const SamplePci pci;

    EXPECT_LE(build_tables({.apic_ids = ids, .pci = pci.host_with_hotplug()}, kRsdp).bytes.size(),
              kAcpiTables.size);
}

// ---- FADT
// -----------------------------------------------------------------------------------------

TEST(FadtTest, DescribesAReducedPlatformOf6Dot5) {
    const auto ids = apic_ids(1);
    const Tables tables = plain(ids);
    const auto fadt = TableView{tables}.table("FACP");

    EXPECT_EQ(fadt.size(), 276U);
    EXPECT_EQ(little_endian(fadt, 8, 1), 6U);
    EXPECT_EQ(little_endian(fadt, 131, 1), 5U);
    EXPECT_EQ(little_endian(fadt, 112, 4), 0x0010'0475U);  // HW_REDUCED, RESET_REG, no buttons, C1
    EXPECT_EQ(little_endian(fadt, 40, 4), little_endian(fadt, 140, 8));
    EXPECT_EQ(text(fadt.subspan(268, 8)), std::string("VMM\0\0\0\0\0", 8));
}

TEST(FadtTest, TellsOfNoKeyboardControllerAndNoVga) {
    const auto ids = apic_ids(1);
    const Tables tables = plain(ids);

    EXPECT_EQ(little_endian(TableView{tables}.table("FACP"), 109, 2), 0x0004U);
}

TEST(FadtTest, TellsWhenThereIsNoClock) {
    const auto ids = apic_ids(1);
    const Tables tables = build_tables({.apic_ids = ids, .clock = {}}, kRsdp);

    EXPECT_EQ(little_endian(TableView{tables}.table("FACP"), 109, 2), 0x0024U);
}

TEST(FadtTest, KeepsTheGuestFromPowerManagingPciLinks) {
    const auto ids = apic_ids(1);
    const Tables tables = build_tables({.apic_ids = ids, .pci = PciHost{}}, kRsdp);

    EXPECT_EQ(little_endian(TableView{tables}.table("FACP"), 109, 2), 0x0014U);
}

TEST(FadtTest, NamesTheCenturyByteOfTheClock) {
    const auto ids = apic_ids(1);
    const Tables usual = plain(ids);
    const Tables none = build_tables({.apic_ids = ids, .clock = CmosClock{0}}, kRsdp);

    EXPECT_EQ(little_endian(TableView{usual}.table("FACP"), 108, 1), 0x32U);
    EXPECT_EQ(little_endian(TableView{none}.table("FACP"), 108, 1), 0U);
}

TEST(FadtTest, ResetAndSleepRegistersAreBytePorts) {
    const auto ids = apic_ids(1);
    const Tables tables = plain(ids);
    const auto fadt = TableView{tables}.table("FACP");

    EXPECT_EQ(hex(fadt.subspan(116, 13)),
              "010800010206000000000000"
              "01");
    EXPECT_EQ(hex(fadt.subspan(244, 12)), "010800010006000000000000");
    EXPECT_EQ(hex(fadt.subspan(256, 12)), "010800010106000000000000");
}

TEST(FadtTest, WhatAReducedPlatformLacksIsZero) {
    const auto ids = apic_ids(1);
    const Tables tables = plain(ids);
    const auto fadt = TableView{tables}.table("FACP");

    EXPECT_EQ(hex(fadt.subspan(44, 64)), std::string(128, '0'));
    EXPECT_EQ(hex(fadt.subspan(132, 8)), std::string(16, '0'));
    EXPECT_EQ(hex(fadt.subspan(148, 96)), std::string(192, '0'));
}

// ---- MADT
// -----------------------------------------------------------------------------------------

TEST(MadtTest, TwoCpusOneIoApicAndTheNmi) {
    const auto ids = apic_ids(2);
    const Tables tables = plain(ids);

    EXPECT_EQ(hex(TableView{tables}.table("APIC").subspan(36)),
              "0000e0fe"
              "00000000"  // local APIC at fee00000, no 8259
              "0008"
              "0000"
              "01000000"  // UID 0, id 0
              "0008"
              "0101"
              "01000000"  // UID 1, id 1
              "010c"
              "0000"
              "0000c0fe"
              "00000000"  // I/O APIC at fec00000, GSI 0
              "020a"
              "0009"
              "09000000"
              "0d00"  // interrupt 9: level, active high
              "0406"
              "ff"
              "0000"
              "01");  // NMI at LINT1
}

TEST(MadtTest, WithoutPowerButtonInterrupt9IsAnOrdinaryOne) {
    const auto ids = apic_ids(1);
    const Tables tables = build_tables({.apic_ids = ids, .power_button = false}, kRsdp);

    EXPECT_EQ(TableView{tables}.table("APIC").size(), 36U + 8 + 8 + 12 + 6);
}

TEST(MadtTest, IdsWithGapsKeepTheirCpusUid) {
    const std::array<std::uint32_t, 2> ids{0, 8};
    const Tables tables = plain(ids);

    EXPECT_EQ(hex(TableView{tables}.table("APIC").subspan(52, 8)), "0008010801000000");
}

TEST(MadtTest, IdsFrom255OnAreX2ApicEntries) {
    const auto ids = apic_ids(300);
    const Tables tables = plain(ids);
    const auto madt = TableView{tables}.table("APIC");

    ASSERT_EQ(madt.size(), 44U + 255 * 8 + 45 * 16 + 12 + 10 + 6 + 12);
    EXPECT_EQ(hex(madt.subspan(44 + 254 * 8, 8)), "0008fefe01000000");
    EXPECT_EQ(hex(madt.subspan(44 + 255 * 8, 16)),
              "0910"
              "0000"
              "ff000000"
              "01000000"
              "ff000000");
    EXPECT_EQ(hex(madt.subspan(44 + 255 * 8 + 44 * 16, 16)),
              "0910"
              "0000"
              "2b010000"
              "01000000"
              "2b010000");
    EXPECT_EQ(hex(madt.last(12)),
              "0a0c"
              "0000"
              "ffffffff"
              "01"
              "000000");
}

// ---- MCFG, DSDT
// -----------------------------------------------------------------------------------

TEST(McfgTest, NamesEcamSegmentAndBuses) {
    const auto ids = apic_ids(1);
    const SamplePci pci;
    const Tables tables = build_tables({.apic_ids = ids, .pci = pci.host()}, kRsdp);

    EXPECT_EQ(hex(TableView{tables}.table("MCFG").subspan(36)),
              "0000000000000000"
              "000000e000000000"
              "0000"
              "00ff"
              "00000000");
}

TEST(McfgTest, IsMissingWithoutEcam) {
    const auto ids = apic_ids(1);
    const Tables tables = build_tables({.apic_ids = ids, .pci = PciHost{}}, kRsdp);

    EXPECT_TRUE(TableView{tables}.table("MCFG").empty());
    EXPECT_EQ(text(TableView{tables}.table("DSDT")).find("ECAM"), std::string::npos);
}

TEST(DsdtTest, WhatTheMachineLacksIsNotInIt) {
    const auto ids = apic_ids(1);
    const Tables tables =
        build_tables({.apic_ids = ids, .com1 = false, .power_button = false, .clock = {}}, kRsdp);
    const std::string dsdt = text(TableView{tables}.table("DSDT"));

    EXPECT_THAT(dsdt, HasSubstr("_S5_"));
    EXPECT_THAT(dsdt, HasSubstr("C000"));
    EXPECT_EQ(dsdt.find("COM1"), std::string::npos);
    EXPECT_EQ(dsdt.find("PWRB"), std::string::npos);
    EXPECT_EQ(dsdt.find("RTC_"), std::string::npos);
    EXPECT_EQ(dsdt.find("PCI0"), std::string::npos);
}

TEST(DsdtTest, WithoutHotplugNoGuestPaysForIt) {
    const auto ids = apic_ids(1);
    const SamplePci pci;
    const auto dsdt_with = [&](const PciHost& host) {
        const Tables tables = build_tables({.apic_ids = ids, .pci = host}, kRsdp);
        return text(TableView{tables}.table("DSDT"));
    };

    for (const char* const name : {"HPRG", "HPEV", "HPEJ", "S001"}) {
        EXPECT_EQ(dsdt_with(pci.host()).find(name), std::string::npos) << name;
        EXPECT_THAT(dsdt_with(pci.host_with_hotplug()), HasSubstr(name));
    }
}

// Start-up pays for this once. The bound is for a debug build on a busy machine.
TEST(AcpiTablesTest, BuildingThemIsCheap) {
    const auto ids = apic_ids(32);
    auto best = std::chrono::nanoseconds::max();
    for (int i = 0; i < 20; ++i) {
        const auto start = std::chrono::steady_clock::now();
        const Tables tables = plain(ids);
        best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - start);
        ASSERT_FALSE(tables.bytes.empty());
    }

    RecordProperty("nanoseconds", std::to_string(best.count()));
    EXPECT_LT(best, std::chrono::milliseconds{1});
}

}  // namespace
}  // namespace vmm::x86_64
