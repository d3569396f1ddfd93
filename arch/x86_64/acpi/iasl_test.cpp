// SPDX-License-Identifier: Apache-2.0
// What the reference implementation makes of our tables: its compiler must disassemble them to what
// we meant, find nothing wrong with that, and compile it back to the same bytes; its interpreter
// must get the answers we meant from our methods.
#include <stdlib.h>
#include <sys/wait.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "x86_64/acpi/sample_tables.hpp"

namespace vmm::x86_64 {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

struct Ran {
    int status = -1;
    std::string output;
};

Ran run(const std::string& command) {
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");  // runs: iasl acpiexec
    if (pipe == nullptr)
        return {};
    Ran ran;
    std::array<char, 4096> chunk{};
    while (const std::size_t size = std::fread(chunk.data(), 1, chunk.size(), pipe))
        ran.output.append(chunk.data(), size);
    const int status = ::pclose(pipe);
    ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ran;
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

class IaslTest : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(run("command -v iasl").status, 0)
            << "iasl is missing: install the package acpica-tools";
        std::string name = (std::filesystem::temp_directory_path() / "vmm-iasl-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override {
        if (!folder_.empty())
            std::filesystem::remove_all(folder_);
    }

    std::string save(const Tables& tables, std::string_view signature) {
        const auto table = TableView{tables}.table(signature);
        std::string bytes(table.size(), '\0');
        std::memcpy(bytes.data(), table.data(), table.size());
        std::ofstream{folder_ / "t.dat", std::ios::binary} << bytes;
        return bytes;
    }

    /// The table as source text.
    std::string disassemble(const Tables& tables, std::string_view signature) {
        save(tables, signature);
        const Ran ran = run("cd " + folder_.string() + " && iasl -d t.dat");
        EXPECT_EQ(ran.status, 0) << ran.output;
        EXPECT_THAT(ran.output, Not(HasSubstr("Warning"))) << ran.output;
        EXPECT_THAT(ran.output, Not(HasSubstr("Error"))) << ran.output;
        return read_file(folder_ / "t.dsl");
    }

    /// Disassembles and compiles back. Fields that name the compiler are made equal first.
    void expect_round_trip(const Tables& tables, std::string_view signature) {
        const std::string source = disassemble(tables, signature);
        const std::string ours = save(tables, signature);
        // -oa: keep the code as it is written
        const Ran ran = run("cd " + folder_.string() + " && iasl -oa -p back t.dsl");
        ASSERT_EQ(ran.status, 0) << ran.output << source;
        EXPECT_THAT(ran.output, HasSubstr("0 Errors")) << ran.output;
        if (signature == "DSDT") {
            EXPECT_THAT(ran.output, HasSubstr("0 Warnings")) << ran.output;
            EXPECT_THAT(ran.output, HasSubstr("0 Remarks")) << ran.output;
        }
        std::string theirs = read_file(folder_ / "back.aml");
        ASSERT_EQ(theirs.size(), ours.size()) << source;
        EXPECT_EQ(anonymous(theirs), anonymous(ours)) << source;
    }

    /// What the interpreter prints of a method of a machine with hot plug, each byte of whose
    /// registers has this value.
    Ran evaluate_with_hotplug(const std::string& call, const std::string& registers) {
        const auto ids = apic_ids(1);
        const SamplePci pci;
        save(build_tables({.apic_ids = ids, .pci = pci.host_with_hotplug()}, kRsdp), "DSDT");
        return run("cd " + folder_.string() + " && acpiexec -fv " + registers + " -b 'evaluate " +
                   call + "' t.dat");
    }

    /// What the interpreter prints of `\\_SB.PCI0._OSC` with these bytes as UUID and as
    /// capabilities.
    Ran negotiate(const std::string& uuid, const std::string& capabilities) {
        const auto ids = apic_ids(1);
        const SamplePci pci;
        save(build_tables({.apic_ids = ids, .pci = pci.host()}, kRsdp), "DSDT");
        return run("cd " + folder_.string() + " && acpiexec -b 'evaluate \\_SB.PCI0._OSC (" + uuid +
                   ") 1 3 (" + capabilities + ")' t.dat");
    }

private:
    static std::string anonymous(std::string table) {
        table[9] = 0;                              // checksum
        std::fill_n(table.begin() + 28, 8, '\0');  // creator id and revision
        return table;
    }

    std::filesystem::path folder_;
};

class IaslCpuCountTest : public IaslTest, public testing::WithParamInterface<unsigned> {};

TEST_P(IaslCpuCountTest, DsdtRoundTrips) {
    const auto ids = apic_ids(GetParam());
    expect_round_trip(build_tables({.apic_ids = ids}, kRsdp), "DSDT");
}

TEST_P(IaslCpuCountTest, DsdtWithPciRoundTrips) {
    const auto ids = apic_ids(GetParam());
    const SamplePci pci;
    expect_round_trip(build_tables({.apic_ids = ids, .pci = pci.host()}, kRsdp), "DSDT");
}

TEST_P(IaslCpuCountTest, DsdtWithHotplugRoundTrips) {
    const auto ids = apic_ids(GetParam());
    const SamplePci pci;
    expect_round_trip(build_tables({.apic_ids = ids, .pci = pci.host_with_hotplug()}, kRsdp),
                      "DSDT");
}

TEST_P(IaslCpuCountTest, MadtRoundTrips) {
    const auto ids = apic_ids(GetParam());
    expect_round_trip(build_tables({.apic_ids = ids}, kRsdp), "APIC");
}

INSTANTIATE_TEST_SUITE_P(Counts, IaslCpuCountTest, testing::Values(1, 2, 32, 255, 300));

TEST_F(IaslTest, FadtRoundTrips) {
    const auto ids = apic_ids(1);
    expect_round_trip(build_tables({.apic_ids = ids}, kRsdp), "FACP");
}

TEST_F(IaslTest, McfgRoundTrips) {
    const auto ids = apic_ids(1);
    const SamplePci pci;
    expect_round_trip(build_tables({.apic_ids = ids, .pci = pci.host()}, kRsdp), "MCFG");
}

TEST_F(IaslTest, EmptyMachineRoundTrips) {
    const auto ids = apic_ids(1);
    expect_round_trip(
        build_tables({.apic_ids = ids, .com1 = false, .power_button = false, .clock = {}}, kRsdp),
        "DSDT");
}

TEST_F(IaslTest, FadtReadsAsMeant) {
    const auto ids = apic_ids(1);
    const std::string source = disassemble(build_tables({.apic_ids = ids}, kRsdp), "FACP");

    EXPECT_THAT(source, HasSubstr("Hardware Reduced (V5) : 1"));
    EXPECT_THAT(source, HasSubstr("Reset Register Supported (V2) : 1"));
    EXPECT_THAT(source, HasSubstr("8042 Present on ports 60/64 (V2) : 0"));
    EXPECT_THAT(source, HasSubstr("VGA Not Present (V4) : 1"));
    EXPECT_THAT(source, HasSubstr("CMOS RTC Not Present (V5) : 0"));
    EXPECT_THAT(source, HasSubstr("Control Method Power Button (V1) : 1"));
}

TEST_F(IaslTest, DevicesReadAsMeant) {
    const auto ids = apic_ids(2);
    const std::string source = disassemble(build_tables({.apic_ids = ids}, kRsdp), "DSDT");

    EXPECT_THAT(source, HasSubstr("Name (_HID, EisaId (\"PNP0501\")"));
    EXPECT_THAT(source, HasSubstr("Name (_HID, EisaId (\"PNP0B00\")"));
    EXPECT_THAT(source, HasSubstr("Name (_HID, EisaId (\"PNP0C0C\")"));
    EXPECT_THAT(source, HasSubstr("Name (_HID, \"ACPI0013\""));
    EXPECT_THAT(source, HasSubstr("Device (C001)"));
    EXPECT_THAT(source, HasSubstr("OperationRegion (EREG, SystemIO, 0x060C, One)"));
    EXPECT_THAT(source, HasSubstr("Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive"));
    EXPECT_THAT(source, HasSubstr("Local0 = EVTS"));
    EXPECT_THAT(source, HasSubstr("Notify (PWRB, 0x80)"));
}

TEST_F(IaslTest, PciHostReadsAsMeant) {
    const auto ids = apic_ids(1);
    const SamplePci pci;
    const std::string source =
        disassemble(build_tables({.apic_ids = ids, .pci = pci.host()}, kRsdp), "DSDT");

    EXPECT_THAT(source, HasSubstr("Name (_HID, EisaId (\"PNP0A08\")"));
    EXPECT_THAT(source,
                HasSubstr("WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode"));
    EXPECT_THAT(source, HasSubstr("DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, "
                                  "NonCacheable, ReadWrite"));
    EXPECT_THAT(source, HasSubstr("QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, "
                                  "Prefetchable, ReadWrite"));
    EXPECT_THAT(source, HasSubstr("33db4d5b-1ff7-401c-9657-7441c03dd766"));
    EXPECT_THAT(source, HasSubstr("0x001FFFFF"));  // _PRT: device 31
    EXPECT_THAT(source, HasSubstr("Memory32Fixed (ReadWrite"));
}

TEST_F(IaslTest, HotplugReadsAsMeant) {
    const auto ids = apic_ids(1);
    const SamplePci pci;
    const std::string source =
        disassemble(build_tables({.apic_ids = ids, .pci = pci.host_with_hotplug()}, kRsdp), "DSDT");

    EXPECT_THAT(source, HasSubstr("OperationRegion (HPRG, SystemIO, 0x0610, 0x0C)"));
    EXPECT_THAT(source, HasSubstr("Field (HPRG, DWordAcc, NoLock, WriteAsZeros)"));
    EXPECT_THAT(source, HasSubstr("\\_SB.PCI0.HPEV ()"));
    EXPECT_THAT(source, HasSubstr("EJCT = Arg0"));
    EXPECT_THAT(source, HasSubstr("While ((EJCT & Arg0))"));
    EXPECT_THAT(source, HasSubstr("Name (_ADR, 0x001F0000)"));
    EXPECT_THAT(source, HasSubstr("Name (_SUN, 0x1F)"));
    EXPECT_THAT(source, HasSubstr("HPEJ (0x80000000)"));
    EXPECT_THAT(source, Not(HasSubstr("Device (S000)")));  // the host bridge stays
}

TEST_F(IaslTest, EventHasTheGuestCheckAndEjectTheSlotsOfTheRegisters) {
    const Ran ran = evaluate_with_hotplug("\\_SB.GED._EVT 9", "4");  // slots 2, 10, 18 and 26

    for (const char* const slot : {"S002", "S00A", "S012", "S01A"})
        for (const char* const what : {"(Device Check)", "(Eject Request)"})
            EXPECT_THAT(ran.output, ContainsRegex(std::string{"\\["} + slot + "\\].*\\" + what))
                << ran.output;
    EXPECT_THAT(ran.output, Not(HasSubstr("[S003]")));
    EXPECT_THAT(ran.output, Not(HasSubstr("[PWRB]")));
}

TEST_F(IaslTest, EventWithoutASlotNotifiesNobody) {
    const Ran ran = evaluate_with_hotplug("\\_SB.GED._EVT 9", "0");

    EXPECT_THAT(ran.output, HasSubstr("Evaluating \\_SB.GED._EVT"));
    EXPECT_THAT(ran.output, Not(HasSubstr("System Notify"))) << ran.output;
    EXPECT_THAT(ran.output, Not(HasSubstr("Error"))) << ran.output;
}

constexpr const char* kPciUuid = "5b 4d db 33 f7 1f 1c 40 96 57 74 41 c0 3d d7 66";

TEST_F(IaslTest, OscGrantsWhatIsOursAndSaysThatItMaskedTheRest) {
    const Ran ran = negotiate(kPciUuid, "00 00 00 00 1f 00 00 00 ff 00 00 00");

    EXPECT_THAT(ran.output, HasSubstr("10 00 00 00 1F 00 00 00 1D 00 00 00"));
}

TEST_F(IaslTest, OscWithoutTooMuchAskedForIsUntouched) {
    const Ran ran = negotiate(kPciUuid, "01 00 00 00 1f 00 00 00 1d 00 00 00");

    EXPECT_THAT(ran.output, HasSubstr("01 00 00 00 1F 00 00 00 1D 00 00 00"));
}

TEST_F(IaslTest, OscOfAnotherKindIsRefused) {
    const Ran ran = negotiate("00 11", "00 00 00 00 1f 00 00 00 ff 00 00 00");

    EXPECT_THAT(ran.output, HasSubstr("04 00 00 00 1F 00 00 00 FF 00 00 00"));
}

}  // namespace
}  // namespace vmm::x86_64
