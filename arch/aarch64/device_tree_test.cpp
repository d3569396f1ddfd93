// SPDX-License-Identifier: Apache-2.0
// What dtc, the reference compiler, makes of our tree: it reads it back as what we meant, and its
// checks of the bindings find nothing.
#include "aarch64/device_tree.hpp"

#include <stdlib.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "aarch64/layout.hpp"

namespace vmm::aarch64 {
namespace {

using hv::arm::GicVersion;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

/// A temporary file, and its text after dtc has read it, with what dtc says of it in front.
std::string read_back(std::span<const std::byte> tree) {
    std::string name = (std::filesystem::temp_directory_path() / "vmm-dtb-XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    if (fd < 0)
        return "no temporary file";
    ::close(fd);
    std::ofstream{name, std::ios::binary}.write(reinterpret_cast<const char*>(tree.data()),
                                                static_cast<std::streamsize>(tree.size()));
    const std::string command = "dtc -I dtb -O dts " + name + " 2>&1";
    std::FILE* pipe = ::popen(command.c_str(), "r");  // runs: dtc
    if (pipe == nullptr)
        return "cannot run dtc";
    std::string text;
    std::array<char, 4096> chunk{};
    while (const std::size_t size = std::fread(chunk.data(), 1, chunk.size(), pipe))
        text.append(chunk.data(), size);
    ::pclose(pipe);
    std::filesystem::remove(name);
    return text;
}

struct DeviceTreeTest : testing::Test {
    std::string text() const { return read_back(device_tree(board)); }

    std::vector<std::uint64_t> mpidrs{0x8000'0000, 0x8000'0001};
    Board board{.mpidrs = mpidrs,
                .cpu_map = {.cores = 2},
                .ram = ram_range(512 * kMiB),
                .command_line = "console=ttyAMA0 quiet",
                .gic = {.distributor = kDistributor,
                        .redistributors = {{kRedistributors.first, 2 * kRedistributor}},
                        .its = kIts,
                        .cpu_interface = kCpuInterface,
                        .spis = kSpis},
                .pmu = true,
                .uart = true,
                .pci_memory64 = high_map(512 * kMiB, 2, 40).pci_memory64};
};

TEST_F(DeviceTreeTest, DtcFindsNothingWrong) {
    EXPECT_THAT(text(), AllOf(Not(HasSubstr("Warning")), Not(HasSubstr("ERROR")),
                              HasSubstr("compatible = \"linux,dummy-virt\"")));
    board.gic_version = GicVersion::V2;
    EXPECT_THAT(text(), AllOf(Not(HasSubstr("Warning")), HasSubstr("linux,dummy-virt")));
    board.uart = board.pmu = false;
    EXPECT_THAT(text(), AllOf(Not(HasSubstr("Warning")), HasSubstr("linux,dummy-virt")));
}

TEST_F(DeviceTreeTest, CpusAreNamedByTheirAffinity) {
    mpidrs = {0x8000'0000, 0x8000'000f, 0x8000'0100};
    board.mpidrs = mpidrs;
    board.cpu_map = {.sockets = 1, .clusters = 1, .cores = 3, .threads = 1};

    EXPECT_THAT(text(), AllOf(HasSubstr("cpu@0 {"), HasSubstr("cpu@f {"), HasSubstr("cpu@100 {"),
                              HasSubstr("reg = <0x00 0x100>"), Not(HasSubstr("Warning"))));
}

TEST_F(DeviceTreeTest, CpuMapHasTheTopology) {
    mpidrs = std::vector<std::uint64_t>(8);
    for (std::size_t i = 0; i < 8; ++i)
        mpidrs[i] = i;
    board.mpidrs = mpidrs;
    board.cpu_map = {.sockets = 2, .clusters = 1, .cores = 2, .threads = 2};

    EXPECT_THAT(text(), AllOf(HasSubstr("socket1 {"), HasSubstr("core1 {"), HasSubstr("thread1 {"),
                              HasSubstr("cpu = <0x0c>;"),  // the last one's phandle
                              Not(HasSubstr("core2")), Not(HasSubstr("Warning"))));
}

TEST_F(DeviceTreeTest, GicV3HasAnItsThatTakesTheMessagesOfPci) {
    EXPECT_THAT(text(), AllOf(HasSubstr("compatible = \"arm,gic-v3\""),
                              HasSubstr("compatible = \"arm,gic-v3-its\""),
                              HasSubstr("msi-map = <0x00 0x02 0x00 0x10000>")));
}

TEST_F(DeviceTreeTest, MoreRedistributorsLieAboveRam) {
    board.gic.redistributors = {kRedistributors, {Gpa{2 * kGiB}, kRedistributor}};

    EXPECT_THAT(text(), AllOf(HasSubstr("#redistributor-regions = <0x02>"),
                              HasSubstr("0x00 0x80000000 0x00 0x20000")));
}

TEST_F(DeviceTreeTest, GicV2HasNoMessagesAndNamesCpusInItsInterrupts) {
    board.gic_version = GicVersion::V2;

    EXPECT_THAT(text(),
                AllOf(HasSubstr("arm,cortex-a15-gic"), Not(HasSubstr("msi-map")),
                      Not(HasSubstr("its")), ContainsRegex("interrupts = <0x01 0x0d 0x304")));
}

TEST_F(DeviceTreeTest, ChosenSaysWhereThingsAre) {
    const std::array<std::byte, 64> seed{std::byte{1}};
    board.initramfs = {Gpa{0x4800'0000}, 0x1234};
    board.seed = seed;

    EXPECT_THAT(text(), AllOf(HasSubstr("bootargs = \"console=ttyAMA0 quiet\""),
                              HasSubstr("stdout-path = \"/serial@9000000\""),
                              HasSubstr("linux,initrd-start = <0x00 0x48000000>"),
                              HasSubstr("linux,initrd-end = <0x00 0x48001234>"),
                              HasSubstr("kaslr-seed = <"), HasSubstr("rng-seed = <")));
}

TEST_F(DeviceTreeTest, WithoutASerialPortThereIsNoOutput) {
    board.uart = false;

    EXPECT_THAT(text(), AllOf(Not(HasSubstr("stdout-path")), Not(HasSubstr("arm,pl011"))));
}

TEST_F(DeviceTreeTest, PciHasItsWindowsAndPins) {
    EXPECT_THAT(text(),
                AllOf(HasSubstr("pci-host-ecam-generic"),
                      HasSubstr("0x2000000 0x00 0x10000000 0x00 0x10000000 0x00 0x2f000000"),
                      HasSubstr("interrupt-map-mask = <0x1800 0x00 0x00 0x07>")));
}

TEST_F(DeviceTreeTest, PowerButtonIsALineOfTheGpio) {
    EXPECT_THAT(text(),
                AllOf(HasSubstr("gpios = <0x04 0x03 0x00>"), HasSubstr("linux,code = <0x74>")));
}

}  // namespace
}  // namespace vmm::aarch64
