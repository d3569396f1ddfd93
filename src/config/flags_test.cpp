// SPDX-License-Identifier: Apache-2.0
#include "config/flags.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "vmm/text.hpp"

namespace vmm::config {
namespace {

using testing::ElementsAre;

FlagUse use(std::string_view name, std::string value) {
    for (const Flag& flag : all_flags())
        if (flag.name() == name)
            return {flag, std::move(value)};
    ADD_FAILURE() << "no flag " << name;
    return {};
}

std::string error_of(const FlagUse& flag) {
    VmConfig config;
    const auto result = apply_flags(config, {&flag, 1});
    return result ? "no error" : result.error().report();
}

TEST(FlagsTest, EveryNameIsThereOnce) {
    std::set<std::string> seen;
    for (const Flag& flag : all_flags())
        for (auto names = flag.names(); !names.empty();) {
            const auto name = names.substr(0, names.find(','));
            names.remove_prefix(std::min(names.size(), name.size() + 1));
            EXPECT_TRUE(seen.insert(std::string{name}).second) << name;
        }
    EXPECT_TRUE(seen.contains("--kernel"));
    EXPECT_TRUE(seen.contains("--num-cpu"));
}

TEST(FlagsTest, LaterFlagGoesOverEarlierKeyByKey) {
    VmConfig config;
    const std::vector uses{use("--num-cpu", "2"), use("--memory", "1G,shared"),
                           use("--memory", "size=2G"), use("--cpus", "max=4")};

    ASSERT_TRUE(apply_flags(config, uses));

    EXPECT_EQ(config.memory.size, 2147483648U);
    EXPECT_EQ(config.memory.shared, true);
    EXPECT_EQ(config.cpus.boot_vcpus, 2U);
    EXPECT_EQ(config.cpus.max_vcpus, 4U);
}

TEST(FlagsTest, RepeatableFlagReplacesTheWholeList) {
    VmConfig config;
    config.payload.initramfs = {"old"};
    config.disks = {DiskConfig{.path = "old", .readonly = true}};
    const std::vector uses{use("--initramfs", "a,b"), use("--disk", "x"), use("--initramfs", "c"),
                           use("--disk", "y,direct")};

    ASSERT_TRUE(apply_flags(config, uses));

    EXPECT_THAT(config.payload.initramfs, ElementsAre("a,b", "c"));
    ASSERT_EQ(config.disks.size(), 2U);
    EXPECT_EQ(config.disks[0], DiskConfig{.path = "x"});
    EXPECT_EQ(config.disks[1], (DiskConfig{.path = "y", .direct = true}));
}

TEST(FlagsTest, SerialReplacesWhatTheFileSaysOfIt) {
    VmConfig config;
    config.serial = {.mode = ConsoleMode::File, .file = "/x"};
    const std::vector uses{use("--serial", "tty")};

    ASSERT_TRUE(apply_flags(config, uses));

    EXPECT_EQ(config.serial, SerialConfig{});
}

TEST(FlagsTest, CommandLineIsTakenAsItStands) {
    VmConfig config;
    const std::vector uses{use("--cmd-line", R"(console=ttyS0,115200 x="a b",[c])")};

    ASSERT_TRUE(apply_flags(config, uses));

    EXPECT_EQ(config.payload.cmdline, R"(console=ttyS0,115200 x="a b",[c])");
}

TEST(FlagsTest, OptionalStructureIsSwitchedOnAndOff) {
    VmConfig on;
    VmConfig off;
    VmConfig source;
    off.rng = RngConfig{};

    ASSERT_TRUE(apply_flags(on, std::vector{use("--rng", "on")}));
    ASSERT_TRUE(apply_flags(off, std::vector{use("--rng", "off")}));
    ASSERT_TRUE(apply_flags(source, std::vector{use("--rng", "/dev/hwrng")}));

    EXPECT_EQ(on.rng, RngConfig{});
    EXPECT_FALSE(off.rng);
    EXPECT_EQ(source.rng, RngConfig{.src = "/dev/hwrng"});
}

TEST(FlagsTest, DevicesMayHaveAPciSlotByEitherName) {
    VmConfig config;
    const std::vector uses{use("--disk", "a,addr=05"), use("--net", "t0,pci_device_id=0x10"),
                           use("--rng", "addr=31"), use("--console", "null,addr=2")};

    ASSERT_TRUE(apply_flags(config, uses));

    EXPECT_EQ(config.disks.at(0).pci_device_id, 5);
    EXPECT_EQ(config.net.at(0).pci_device_id, 16);
    EXPECT_EQ(config.rng.value().pci_device_id, 31);
    EXPECT_EQ(config.console.pci_device_id, 2);
}

TEST(FlagsTest, SlotOfTheHostBridgeAndThoseThatAPciBusDoesNotHaveAreRefused) {
    EXPECT_EQ(error_of(use("--disk", "a,addr=0")),
              "error: --disk: pci_device_id: 0 is too small\n  help: The least is 1.\n");
    EXPECT_EQ(error_of(use("--disk", "a,addr=32")),
              "error: --disk: pci_device_id: 32 is too large\n  help: The most is 31.\n");
    EXPECT_EQ(error_of(use("--rng", "addr=256")),
              "error: --rng: pci_device_id: 256 is too large\n  help: The most is 31.\n");
    EXPECT_EQ(error_of(use("--net", "t0,addr=5.0")),
              "error: --net: pci_device_id: '5.0' is not a number\n"
              "  help: Give a whole number, in decimal or with 0x in front in hexadecimal.\n");
}

TEST(FlagsTest, ErrorsNameTheFlag) {
    EXPECT_EQ(error_of(use("--memory", "lots")),
              "error: --memory: size: 'lots' is not a size\n"
              "  help: Give a whole number of bytes, or one followed by K, M, G or T, such as "
              "512M.\n");
    EXPECT_EQ(error_of(use("--memory", "0")),
              "error: --memory: size: 0 is too small\n  help: The least is 4M.\n");
    EXPECT_EQ(error_of(use("--memory", "1K")),
              "error: --memory: size: 1K is too small\n  help: The least is 4M; a number alone is "
              "in bytes, and "
              "512 MiB are 512M.\n");
    EXPECT_EQ(error_of(use("--memory", "100T")),
              "error: --memory: size: 100T is too large\n  help: The most is 64T.\n");
    EXPECT_EQ(error_of(use("--num-cpu", "0")),
              "error: --num-cpu: 0 is too small\n  help: The least is 1.\n");
    EXPECT_EQ(error_of(use("--num-cpu", "100000")),
              "error: --num-cpu: 100000 is too large\n  help: The most is 1024.\n");
    EXPECT_EQ(error_of(use("--cmd-line", std::string(70000, 'x'))),
              "error: --cmd-line: 70000 bytes are too long\n"
              "  help: At most 65535 bytes are possible.\n");
    EXPECT_EQ(error_of(use("--serial", "telepathy")),
              "error: --serial: mode: 'telepathy' is none of off, null, tty, pty, file, socket\n"
              "  help: Give one of these.\n");
    EXPECT_EQ(error_of(use("--on-reset", "exti")),
              "error: --on-reset: 'exti' is none of reset, exit\n"
              "  help: Did you mean 'exit'?\n");
    EXPECT_EQ(error_of(use("--pvpanic", "maybe")),
              "error: --pvpanic: 'maybe' is neither on nor off\n  help: Give on or off.\n");
    EXPECT_EQ(error_of(use("--stop-timeout", "0")),
              "error: --stop-timeout: 0 is too small\n  help: The least is 1.\n");
    EXPECT_EQ(error_of(use("--stop-timeout", "5s")),
              "error: --stop-timeout: '5s' is not a number\n"
              "  help: Give a whole number, in decimal or with 0x in front in hexadecimal.\n");
    EXPECT_EQ(error_of(use("--debug-exit", "0x40000000")),
              "error: --debug-exit: 1073741824 is too large\n  help: The most is 1073741820.\n");
}

}  // namespace
}  // namespace vmm::config
