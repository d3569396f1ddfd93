// SPDX-License-Identifier: Apache-2.0
#include "config/validate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_test_support.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

using test::error_of;
using test::good;
using testing::HasSubstr;

TEST(ValidateTest, KernelAloneIsEnough) {
    EXPECT_EQ(error_of(good()), "no error");
}

TEST(ValidateTest, NothingToBootIsAnError) {
    EXPECT_EQ(error_of(VmConfig{}),
              "error: nothing to boot: neither a kernel nor a firmware is given\n"
              "  help: Name a kernel with --kernel FILE, or with payload.kernel in the file of "
              "--config.\n");
}

TEST(ValidateTest, KernelAndFirmwareExcludeEachOther) {
    auto config = good();
    config.payload.firmware = "F";

    EXPECT_EQ(error_of(config),
              "error: both a kernel and a firmware are given\n  help: Give only one of the two.\n");
}

TEST(ValidateTest, InitramfsNeedsAKernelAndAName) {
    VmConfig firmware;
    firmware.payload.firmware = "F";
    firmware.payload.initramfs = {"I"};
    auto nameless = good();
    nameless.payload.initramfs = {""};

    EXPECT_EQ(error_of(firmware),
              "error: an initramfs or a command line, but no kernel for it\n"
              "  help: Add --kernel FILE, or leave them out: a firmware takes neither.\n");
    EXPECT_EQ(error_of(nameless),
              "error: payload.initramfs (--initramfs): the file name is empty\n"
              "  help: Name a file, or leave it out.\n");
}

TEST(ValidateTest, LimitsHoldForStructuresFilledByHand) {
    auto none = good();
    none.cpus.boot_vcpus = 0;
    auto small = good();
    small.memory.size = 4096;

    EXPECT_EQ(error_of(none), "error: cpus.boot_vcpus: 0 is too small\n  help: The least is 1.\n");
    EXPECT_EQ(error_of(small),
              "error: memory.size: 4K is too small\n  help: The least is 4M; a number alone is in "
              "bytes, and 512 MiB are 512M.\n");
}

TEST(ValidateTest, TopologyMustMakeTheNumberOfVcpus) {
    auto config = good();
    config.cpus = {.boot_vcpus = 4, .topology = CpuTopology{2, 2, 1, 1}};
    EXPECT_EQ(error_of(config), "no error");

    config.cpus.topology = CpuTopology{2, 4, 1, 1};
    EXPECT_EQ(error_of(config),
              "error: cpus.topology 2:4:1:1 makes 8 vCPUs, but there are 4\n"
              "  help: Make the product of the four numbers equal to the number of vCPUs.\n");
}

TEST(ValidateTest, TopologyProductDoesNotWrap) {
    auto config = good();
    config.cpus = {.boot_vcpus = 4, .topology = CpuTopology{1, 1U << 31, 4, 1U << 31}};

    EXPECT_THAT(error_of(config), testing::HasSubstr("makes 4294967295 vCPUs, but there are 4"));
}

TEST(ValidateTest, AffinityIsForVcpusThatThereAreAndOnceForEach) {
    auto config = good();
    config.cpus = {.boot_vcpus = 2, .affinity = {{1, {2, 3}}, {0, {2}}}};
    EXPECT_EQ(error_of(config), "no error");

    config.cpus.affinity = {{0, {2}}, {2, {3}}};
    EXPECT_EQ(error_of(config),
              "error: cpus.affinity[1]: there is no vCPU 2\n"
              "  help: Give a number from 0 to 1, or the guest more vCPUs (--num-cpu).\n");
    config.cpus.affinity = {{1, {2}}, {1, {3}}};
    EXPECT_EQ(error_of(config),
              "error: cpus.affinity[1]: vCPU 1 has an entry already\n"
              "  help: List all of its host CPUs in one entry, such as 1@[2,3].\n");
}

TEST(ValidateTest, AffinityNeedsAVcpuAndAHostCpu) {
    auto config = good();
    config.cpus.affinity = {{{}, {2}}};
    EXPECT_EQ(error_of(config),
              "error: cpus.affinity[0] does not say which vCPU it is for\n"
              "  help: Add the vCPU's number (vcpu); the first is 0.\n");
    config.cpus.affinity = {{0, {}}};
    EXPECT_EQ(error_of(config),
              "error: cpus.affinity[0]: no host CPU is named for vCPU 0\n"
              "  help: Name at least one, such as 0@[2], or leave the entry out.\n");
}

TEST(ValidateTest, MaxBelowBootIsAnError) {
    auto config = good();
    config.cpus = {.boot_vcpus = 4, .max_vcpus = 2};

    EXPECT_EQ(error_of(config),
              "error: cpus.max_vcpus is 2, less than the 4 of cpus.boot_vcpus\n"
              "  help: Raise max (--cpus boot=N,max=N), or leave it out.\n");
}

TEST(ValidateTest, MemoryIsWholePages) {
    auto config = good();
    config.memory.size = (64 << 20) + 1;

    EXPECT_EQ(error_of(config),
              "error: memory.size is 67108865 bytes, not a multiple of 4 KiB\n"
              "  help: Give 64M or another multiple.\n");
}

TEST(ValidateTest, HugePagesMustFit) {
    auto config = good();
    config.memory.hugepage_size = 2 << 20;
    EXPECT_EQ(error_of(config),
              "error: memory.hugepage_size without memory.hugepages\n"
              "  help: Add hugepages=on, or leave hugepage_size out.\n");

    config.memory.hugepages = true;
    EXPECT_EQ(error_of(config), "no error");

    config.memory.hugepage_size = 3 << 20;
    EXPECT_EQ(error_of(config),
              "error: memory.hugepage_size 3M is not a power of two\n"
              "  help: Give a size that the host has, such as 2M or 1G.\n");

    config.memory.hugepage_size = 1 << 30;
    EXPECT_EQ(error_of(config),
              "error: memory.size 512M is not a multiple of the huge page size 1G\n"
              "  help: Give a multiple of it.\n");
}

TEST(ValidateTest, FileAndHugePagesExcludeEachOther) {
    auto config = good();
    config.memory.hugepages = true;
    config.memory.file = "ram";

    EXPECT_EQ(error_of(config),
              "error: memory.file and memory.hugepages exclude each other\n"
              "  help: Put the file on a hugetlbfs and leave hugepages out, or leave the file "
              "out.\n");
}

TEST(ValidateTest, RamFromAFileIsShared) {
    auto config = good();
    config.memory.file = "ram";
    EXPECT_EQ(error_of(config), "no error");
    EXPECT_TRUE(config.memory.is_shared());
    EXPECT_FALSE(MemoryConfig{}.is_shared());

    config.memory.shared = false;

    EXPECT_EQ(error_of(config),
              "error: memory.shared is off and memory.file is given, but RAM from a file is "
              "shared\n"
              "  help: Leave shared out, or leave the file out.\n");
}

TEST(ValidateTest, SerialNeedsWhatItsModeAsksFor) {
    auto config = good();
    config.serial = {.mode = ConsoleMode::File};
    EXPECT_EQ(error_of(config),
              "error: serial (--serial): the mode is file, but no file is named\n"
              "  help: Name one (--serial file=PATH), or give another mode.\n");

    config.serial = {.mode = ConsoleMode::Socket};
    EXPECT_EQ(error_of(config),
              "error: serial (--serial): the mode is socket, but no socket is named\n"
              "  help: Name one (--serial socket=PATH), or give another mode.\n");

    config.serial = {.mode = ConsoleMode::Null, .file = "x"};
    EXPECT_EQ(error_of(config),
              "error: serial (--serial): a file is named, but the mode is not file\n"
              "  help: Leave the mode out (--serial file=PATH), or the file.\n");

    config.serial = {.mode = ConsoleMode::Tty, .socket = "x"};
    EXPECT_EQ(error_of(config),
              "error: serial (--serial): a socket is named, but the mode is not socket\n"
              "  help: Leave the mode out (--serial socket=PATH), or the socket.\n");

    config.serial = {.mode = ConsoleMode::Tty, .link = "x"};
    EXPECT_EQ(error_of(config),
              "error: serial (--serial): a link is named, but the mode is not pty\n"
              "  help: Leave the mode out (--serial link=PATH), or the link.\n");

    config.serial = {.mode = ConsoleMode::Socket, .socket = std::string(108, 'x')};
    EXPECT_EQ(error_of(config),
              "error: serial (--serial): the path of the socket has 108 bytes\n"
              "  help: Use one of at most 107 bytes.\n");
}

ConsolePortConfig port(std::string name) {
    return {.mode = ConsoleMode::Socket, .name = name, .socket = "/run/" + name};
}

std::string error_of_ports(std::vector<ConsolePortConfig> ports) {
    auto config = good();
    config.console_ports = std::move(ports);
    return error_of(config);
}

TEST(ValidatePortsTest, PortsNeedNoConsole) {
    EXPECT_EQ(error_of_ports({port("org.example.agent.0"), port("log")}), "no error");
    EXPECT_EQ(error_of_ports({{.mode = ConsoleMode::Null, .name = std::string(64, 'n')},
                              {.mode = ConsoleMode::Pty, .name = "a"},
                              {.mode = ConsoleMode::Pty, .name = "b"},
                              {.mode = ConsoleMode::File, .name = "c", .file = "/dev/null"},
                              {.mode = ConsoleMode::File, .name = "d", .file = "/dev/null"}}),
              "no error");
}

TEST(ValidatePortsTest, NameMustBeGiven) {
    EXPECT_EQ(error_of_ports({port("a"), {.mode = ConsoleMode::Pty}}),
              "error: console_ports[1] (--console-port) has no name\n"
              "  help: Add its name, by which the guest finds it: name=NAME is "
              "/dev/virtio-ports/NAME.\n");
}

TEST(ValidatePortsTest, NameIsThatOfADevice) {
    EXPECT_EQ(error_of_ports({port("a/b")}),
              "error: console_ports[0].name: 'a/b' cannot be the name of a device\n"
              "  help: Use letters, digits and signs other than '/', and no blanks.\n");
    EXPECT_THAT(error_of_ports({port("a b")}), testing::HasSubstr("cannot be the name"));
    EXPECT_THAT(error_of_ports({port("ä")}), testing::HasSubstr("cannot be the name"));
    EXPECT_THAT(error_of_ports({port("..")}), testing::HasSubstr("cannot be the name"));
    EXPECT_EQ(error_of_ports({port(std::string(65, 'n'))}),
              "error: console_ports.name: 65 bytes are too long\n"
              "  help: At most 64 bytes are possible.\n");
}

TEST(ValidatePortsTest, NamesAreUnique) {
    auto again = port("a");
    again.socket = "/run/other";

    EXPECT_EQ(error_of_ports({port("a"), port("b"), again}),
              "error: console_ports[2].name: 'a' is the name of console_ports[0] already\n"
              "  help: Give each port a name of its own.\n");
}

TEST(ValidatePortsTest, PortLeadsSomewhere) {
    EXPECT_EQ(error_of_ports({{.name = "a"}}),
              "error: console_ports[0] (--console-port) has no backend\n"
              "  help: Say where its other end is: socket=PATH, file=PATH, link=PATH, pty, tty or "
              "null.\n");
    EXPECT_EQ(error_of_ports({{.mode = ConsoleMode::Socket, .name = "a"}}),
              "error: console_ports[0] (--console-port): the mode is socket, but no socket is "
              "named\n"
              "  help: Name one (--console-port name=NAME,socket=PATH), or give another mode.\n");
    EXPECT_EQ(
        error_of_ports({{.mode = ConsoleMode::Socket, .name = "a", .file = "f", .socket = "s"}}),
        "error: console_ports[0] (--console-port): a file is named, but the mode is not "
        "file\n"
        "  help: Leave the mode out (--console-port name=NAME,file=PATH), or the file.\n");
    EXPECT_EQ(error_of_ports(
                  {{.mode = ConsoleMode::Socket, .name = "a", .socket = std::string(108, 'x')}}),
              "error: console_ports[0] (--console-port): the path of the socket has 108 bytes\n"
              "  help: Use one of at most 107 bytes.\n");
}

TEST(ValidatePortsTest, TheTerminalIsForOne) {
    const ConsolePortConfig a{.mode = ConsoleMode::Tty, .name = "a"};
    const ConsolePortConfig b{.mode = ConsoleMode::Tty, .name = "b"};
    auto config = good();
    config.console_ports = {a};
    EXPECT_EQ(
        error_of(config),
        "error: both the serial port and console_ports[0] want the terminal\n"
        "  help: Switch the serial port off (--serial off), or give one of them another place.\n");

    config.serial.mode = ConsoleMode::Off;
    EXPECT_EQ(error_of(config), "no error");

    config.console_ports = {a, b};
    EXPECT_EQ(error_of(config),
              "error: both console_ports[0] and console_ports[1] want the terminal\n"
              "  help: Give one of them another place.\n");

    config.console_ports = {a};
    config.console.mode = ConsoleMode::Tty;
    EXPECT_EQ(error_of(config),
              "error: both the console and console_ports[0] want the terminal\n"
              "  help: Give one of them another place.\n");
}

TEST(ValidatePortsTest, LinkIsForOne) {
    auto config = good();
    config.console = {.mode = ConsoleMode::Pty, .link = "/run/tty"};
    config.console_ports = {{.mode = ConsoleMode::Pty, .name = "a", .link = "/run/tty"}};

    EXPECT_EQ(error_of(config),
              "error: both the console and console_ports[0] want the link '/run/tty'\n"
              "  help: Give each a link of its own.\n");
}

TEST(ValidatePortsTest, StandardOutputMayBeShared) {
    auto config = good();
    config.console_ports = {{.mode = ConsoleMode::File, .name = "a", .file = "/proc/self/fd/1"}};
    config.console = {.mode = ConsoleMode::File, .file = "/proc/self/fd/1"};

    EXPECT_EQ(error_of(config), "no error");
}

TEST(ValidatePortsTest, SocketsAndFilesAreForOne) {
    auto config = good();
    config.serial = {.mode = ConsoleMode::Socket, .socket = "/run/a"};
    config.console_ports = {port("a")};
    EXPECT_EQ(error_of(config),
              "error: both the serial port and console_ports[0] want the socket '/run/a'\n"
              "  help: Give each a socket of its own.\n");

    config.console_ports = {{.mode = ConsoleMode::File, .name = "a", .file = "log"}};
    config.console = {.mode = ConsoleMode::File, .file = "log"};
    EXPECT_EQ(error_of(config),
              "error: both the console and console_ports[0] want the file 'log'\n"
              "  help: Give each a file of its own.\n");
}

TEST(ValidatePortsTest, ThereAreAtMostThirtyOne) {
    std::vector<ConsolePortConfig> ports;
    for (int i = 0; i < 31; ++i)
        ports.push_back(port(cat("port", i)));
    EXPECT_EQ(error_of_ports(ports), "no error");

    ports.push_back(port("port31"));
    EXPECT_EQ(error_of_ports(ports),
              "error: console_ports (--console-port): there are 32 ports\n"
              "  help: Leave some out: a machine has at most 31.\n");
}

TEST(WarningsTest, PolicyForPanicsNeedsTheDeviceThatReportsThem) {
    auto config = good();
    EXPECT_TRUE(warnings(config).empty());

    config.on_panic = OnPanic::Pause;
    EXPECT_EQ(warnings(config),
              std::vector<std::string>{
                  "on_panic (--on-panic) does nothing without pvpanic (--pvpanic), the device "
                  "through which a guest reports its panic"});

    config.pvpanic = true;
    EXPECT_TRUE(warnings(config).empty());
}

TEST(ValidateTest, DebugExitKeepsOffThePortsOfOthers) {
    const auto error_at = [](std::uint32_t port, bool serial, bool pci) {
        VmConfig config;
        config.payload.kernel = "K";
        config.serial.mode = serial ? ConsoleMode::Null : ConsoleMode::Off;
        config.pvpanic = pci;
        config.debug_exit = port;
        const auto valid = validate(config);
        return valid ? "no error" : valid.error().report();
    };
    EXPECT_EQ(
        error_at(0x3f8, true, false),
        "error: debug_exit (--debug-exit): the ports 0x3f8 to 0x3fb overlap those of the serial "
        "port, 0x3f8 to 0x3ff\n"
        "  help: Choose ports that nothing uses, such as 0xf4.\n");
    EXPECT_THAT(error_at(0x3f5, true, false), HasSubstr("overlap those of the serial port"));
    EXPECT_THAT(error_at(0x3ff, true, false), HasSubstr("overlap those of the serial port"));
    EXPECT_EQ(error_at(0x3f4, true, false), "no error");
    EXPECT_EQ(error_at(0x400, true, false), "no error");
    EXPECT_EQ(error_at(0x3f8, false, false), "no error");
    EXPECT_THAT(error_at(0x71, false, false), HasSubstr("those of the real-time clock"));
    EXPECT_THAT(error_at(0x60c, false, false), HasSubstr("those of ACPI"));
    EXPECT_THAT(error_at(0xcff, false, true), HasSubstr("those of PCI configuration"));
    EXPECT_EQ(error_at(0xcf8, false, false), "no error");
    EXPECT_THAT(error_at(0xffd, false, true), HasSubstr("those of PCI devices"));
    EXPECT_EQ(error_at(0xfffc, false, false), "no error");
    EXPECT_THAT(error_at(0xfffd, false, false),
                HasSubstr("debug_exit (--debug-exit): 65533 is too large\n"
                          "  help: The most is 65532."));
}

TEST(ValidateTest, PciHasRoomForSoManyDevices) {
    VmConfig config;
    config.payload.kernel = "K";
    config.rng.emplace();
    config.pvpanic = true;
    config.console.mode = ConsoleMode::Null;
    config.disks.assign(245, DiskConfig{.path = "d"});
    EXPECT_TRUE(validate(config));

    config.disks.push_back(DiskConfig{.path = "d"});
    const auto valid = validate(config);
    ASSERT_FALSE(valid);
    EXPECT_EQ(
        valid.error().report(),
        "error: there are 249 devices, more than the 248 that PCI has room for\n"
        "  help: Leave out some of --disk and --net. All --console-port together count as one.\n");
}

TEST(ValidateTest, LandlockRuleNamesAPathAndAnAccess) {
    auto config = good();
    config.landlock_rules = {{"/a", LandlockAccess::Read}};
    EXPECT_EQ(error_of(config), "no error");

    config.landlock_rules = {{"/a", LandlockAccess::Read}, {.path = "/b"}};
    EXPECT_EQ(error_of(config),
              "error: landlock_rules[1] (--landlock-rules) does not say what is allowed at /b\n"
              "  help: Add access=r to read, access=w to write, or access=rw.\n");

    config.landlock_rules = {{.access = LandlockAccess::Read}};
    EXPECT_EQ(error_of(config),
              "error: landlock_rules[0] (--landlock-rules) names no path\n"
              "  help: Add path=PATH.\n");
}

TEST(ValidateTest, TopologyHasItsLimits) {
    VmConfig config;
    config.payload.kernel = "K";
    config.cpus = {.boot_vcpus = 9, .topology = CpuTopology{.dies_per_package = 9}};
    const auto valid = validate(config);
    ASSERT_FALSE(valid);
    EXPECT_EQ(valid.error().report(),
              "error: cpus.topology.dies_per_package: 9 is too large\n  help: The most is 8.\n");
}

}  // namespace
}  // namespace vmm::config
