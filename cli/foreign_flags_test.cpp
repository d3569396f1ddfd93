// SPDX-License-Identifier: Apache-2.0
// Habits that users bring from other monitors: each is answered with the right flag, and none is
// read as something else.
#include "cli/foreign_flags.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "cli/arguments_test_support.hpp"
#include "vmm/text.hpp"

namespace vmm::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// "FLAG=VALUE" of each flag of the machine.
std::vector<std::string> uses_of(std::initializer_list<const char*> args) {
    const auto result = parsed(args);
    EXPECT_TRUE(result) << result.error().report();
    std::vector<std::string> uses;
    if (result)
        for (const auto& use : result->flags)
            uses.push_back(cat(use.flag.name(), "=", use.value));
    return uses;
}

TEST(ForeignFlagsTest, LongFlagWithOneDashIsNeverReadAsShortOnes) {
    EXPECT_EQ(
        error_of({"run", "-hda", "disk.img"}),
        "error: unknown flag '-hda'\n"
        "  help: A disk is --disk FILE, or --disk FILE,readonly=on. `vmm run --help` lists all "
        "flags.\n");
    EXPECT_EQ(error_of({"run", "-k", "K", "-pvpanic"}),
              "error: unknown flag '-pvpanic'\n"
              "  help: Long flags have two dashes: --pvpanic. `vmm run --help` lists all flags.\n");
    EXPECT_THAT(error_of({"run", "-memory", "1G"}), HasSubstr("two dashes: --memory."));
    EXPECT_THAT(error_of({"run", "-memory=1G"}), HasSubstr("two dashes: --memory."));
    EXPECT_THAT(error_of({"run", "-kernel", "K"}), HasSubstr("two dashes: --kernel."));
    EXPECT_THAT(error_of({"run", "-kernal", "K"}), HasSubstr("Did you mean --kernel?"));
    EXPECT_THAT(error_of({"run", "-version"}), HasSubstr("two dashes: --version."));
    EXPECT_THAT(error_of({"run", "-name", "x"}), HasSubstr("two dashes: --name."));
    EXPECT_THAT(error_of({"run", "-vhx"}), HasSubstr("unknown flag '-vhx'"));
}

TEST(ForeignFlagsTest, HabitsOfOtherMonitorsNameTheRightFlag) {
    const std::vector<std::pair<std::vector<const char*>, const char*>> habits{
        {{"-cpu", "host"}, "--num-cpu N"},
        {{"-m", "1G", "-smp", "2"}, "--num-cpu N"},
        {{"-nographic"}, "on the terminal already"},
        {{"-append", "quiet"}, "--cmd-line TEXT"},
        {{"-initrd", "I"}, "--initramfs FILE"},
        {{"-drive", "file=a.img,if=virtio"}, "--disk FILE"},
        {{"-netdev", "user,id=n0"}, "--net user"},
        {{"-device", "virtio-net-pci"}, "a flag of its own"},
        {{"-enable-kvm"}, "Leave it out"},
        {{"-M", "microvm"}, "Leave it out"},
        {{"-machine", "q35"}, "Leave it out"},
        {{"-serial", "stdio"}, "--serial"},
        {{"-no-reboot"}, "--on-reset exit"},
        {{"-pidfile", "P"}, "--pid-file PATH"},
        {{"-cdrom", "a.iso"}, "readonly=on"},
        {{"--config-file", "vm.json"}, "--config FILE"},
        {{"--id", "vm1"}, "--name NAME"},
        {{"--api-socket", "/run/s"}, "no control socket yet"},
        {{"--api-sock", "/run/s"}, "no control socket yet"},
        {{"--fs", "tag=a"}, "not supported yet"},
        {{"--vsock", "cid=3"}, "--console-port name=NAME,socket=PATH"},
        {{"--balloon", "size=0"}, "not supported yet"},
        {{"--platform", "uuid=1"}, "--name NAME"},
        {{"--landlock"}, "--sandbox on"},
        {{"--disable-sandbox"}, "--sandbox off"},
        {{"--no-seccomp"}, "--seccomp MODE"},
        {{"--mem", "1024"}, "--memory SIZE"},
        {{"--params", "quiet"}, "--cmd-line TEXT"},
        {{"--block", "a.img,root"}, "--disk FILE"},
        {{"--blk", "path=a.img"}, "--disk FILE"},
        {{"--entropy"}, "--rng"},
        {{"--log-dir", "d"}, "--log-file FILE"},
    };
    for (const auto& [words, wanted] : habits) {
        std::vector<const char*> args{"run", "-k", "K"};
        args.insert(args.end(), words.begin(), words.end());
        const auto result = parse_arguments(args);
        ASSERT_FALSE(result) << words.front();
        EXPECT_THAT(result.error().report(), StartsWith("error: unknown flag '"));
        EXPECT_THAT(result.error().report(), HasSubstr(wanted));
        EXPECT_THAT(result.error().report(), HasSubstr("`vmm run --help` lists all flags.\n"));
    }
}

TEST(ForeignFlagsTest, HabitWithoutACommandIsAnsweredToo) {
    EXPECT_EQ(
        error_of({"-hda", "disk.img"}),
        "error: unknown flag '-hda'\n"
        "  help: A disk is --disk FILE, or --disk FILE,readonly=on. The command comes first, as "
        "in vmm run --kernel FILE; `vmm run --help` lists all flags.\n");
    EXPECT_EQ(error_of({"--kernel", "K", "--disk", "a"}),
              "error: there is no command before --kernel\n"
              "  help: Write vmm run --kernel ...\n");
    EXPECT_THAT(error_of({"-kernel", "K"}), HasSubstr("two dashes: --kernel."));
    EXPECT_THAT(error_of({"-list", "run"}), HasSubstr("unknown flag '-list'"));
    EXPECT_EQ(error_of({"./vm.json"}),
              "error: unknown command './vm.json'\n"
              "  help: If it is a file, write vmm run --config ./vm.json.\n");
}

// Each flag that an advice names must exist.
TEST(ForeignFlagsTest, AdviceNamesFlagsThatExist) {
    std::string names = ",--config,--pid-file,--sandbox,--seccomp,--log-file,--log-level,--help,";
    for (const config::Flag& flag : config::all_flags())
        names += cat(flag.names(), ",");
    for (const auto* const habit : {"hda",
                                    "cdrom",
                                    "smp",
                                    "cpu",
                                    "mem",
                                    "mem-path",
                                    "append",
                                    "initrd",
                                    "kernel-path",
                                    "bios",
                                    "nographic",
                                    "vga",
                                    "accel",
                                    "netdev",
                                    "device",
                                    "chardev",
                                    "entropy",
                                    "no-reboot",
                                    "action",
                                    "isa-debug-exit",
                                    "config-file",
                                    "pidfile",
                                    "id",
                                    "uuid",
                                    "log-path",
                                    "level",
                                    "daemonize",
                                    "rtc",
                                    "snapshot",
                                    "qmp",
                                    "virtfs",
                                    "vsock",
                                    "balloon",
                                    "tpm",
                                    "no-seccomp",
                                    "landlock",
                                    "disable-sandbox"}) {
        const auto advice = advice_about_foreign(habit);
        ASSERT_TRUE(advice.ends_with('.')) << habit;
        for (auto at = advice.find("--"); at != std::string_view::npos;
             at = advice.find("--", at)) {
            const auto flag = advice.substr(at, advice.find_first_of(" .,:;)", at) - at);
            EXPECT_THAT(names, HasSubstr(cat(",", flag, ","))) << habit;
            at += flag.size();
        }
    }
    EXPECT_EQ(advice_about_foreign("frobnicate"), "");
    EXPECT_EQ(advice_about_foreign(""), "");
    EXPECT_EQ(advice_about_foreign(" "), "");
}

TEST(ForeignFlagsTest, ValueGluedToAShortFlagIsTaken) {
    EXPECT_THAT(uses_of({"run", "-m1G", "-c4", "-k/boot/vmlinuz", "-pconsole=ttyS0", "-pquiet"}),
                testing::ElementsAre("--memory=1G", "--cpus=4", "--kernel=/boot/vmlinuz",
                                     "--cmd-line=console=ttyS0", "--cmd-line=quiet"));
    const auto cluster = parsed({"run", "-vk", "K", "-linfo"});
    ASSERT_TRUE(cluster) << cluster.error().report();
    EXPECT_TRUE(cluster->places);
    EXPECT_EQ(cluster->flags.at(0).value, "K");
    EXPECT_EQ(cluster->log.level, log::Level::Info);
}

TEST(ForeignFlagsTest, OneFlagTakesSeveralDevices) {
    EXPECT_THAT(
        uses_of({"run", "--disk", "a", "b,ro", "--kernel", "K", "--net", "tap=x", "user"}),
        testing::ElementsAre("--disk=a", "--disk=b,ro", "--kernel=K", "--net=tap=x", "--net=user"));
    EXPECT_THAT(uses_of({"run", "--console-port", "name=a,pty", "name=b,pty", "-k", "K"}),
                testing::ElementsAre("--console-port=name=a,pty", "--console-port=name=b,pty",
                                     "--kernel=K"));
    EXPECT_THAT(error_of({"run", "--disk", "a", "-hdb", "b"}), HasSubstr("unknown flag '-hdb'"));
    EXPECT_THAT(error_of({"run", "--disk=a", "b"}), HasSubstr("unexpected argument 'b'"));
    EXPECT_THAT(error_of({"run", "--initramfs", "a", "b"}), HasSubstr("unexpected argument 'b'"));
    EXPECT_THAT(error_of({"run", "--disk"}), HasSubstr("--disk needs a value"));
}

TEST(ForeignFlagsTest, HelpAndVersionAreCommandsToo) {
    const auto help = parsed({"help"});
    const auto of_run = parsed({"help", "run"});
    const auto of_check = parsed({"help", "config", "check"});
    const auto version = parsed({"version"});

    ASSERT_TRUE(help && of_run && of_check && version);
    EXPECT_TRUE(help->help);
    EXPECT_EQ(help->command, Command::Id::None);
    EXPECT_TRUE(of_run->help);
    EXPECT_EQ(of_run->command, Command::Id::Run);
    EXPECT_EQ(of_check->command, Command::Id::ConfigCheck);
    EXPECT_TRUE(version->version);
    EXPECT_THAT(error_of({"help", "rum"}), HasSubstr("unknown command 'rum'"));
    EXPECT_EQ(error_of({"run", "help"}),
              "error: unexpected argument 'help'\n"
              "  help: `vmm run --help` says what it takes.\n");
}

TEST(ForeignFlagsTest, FileWithoutItsFlagNamesTheFlag) {
    EXPECT_THAT(error_of({"run", "machine.json"}), HasSubstr("vmm run --config machine.json?"));
    EXPECT_THAT(error_of({"config", "check", "a.json"}),
                HasSubstr("vmm config check --config a.json?"));
    EXPECT_THAT(error_of({"run", "a.qcow2"}), HasSubstr("vmm run --disk a.qcow2?"));
    EXPECT_THAT(error_of({"run", "/dev/sdb"}), HasSubstr("vmm run --disk /dev/sdb?"));
    EXPECT_THAT(error_of({"run", "rootfs.cpio.gz"}), HasSubstr("--initramfs rootfs.cpio.gz?"));
}

}  // namespace
}  // namespace vmm::cli
