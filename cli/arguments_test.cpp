// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/arguments_test_support.hpp"

namespace vmm::cli {
namespace {

using testing::HasSubstr;
using Id = Command::Id;

TEST(ArgumentsTest, FlagsOfEveryCommandStandBeforeOrAfterTheCommand) {
    const auto before = parsed({"-l", "info", "--log-file", "a.log", "-v", "run", "--kernel", "K"});
    const auto after =
        parsed({"run", "--kernel", "K", "--log-level=info", "--log-file=a.log", "-v"});

    ASSERT_TRUE(before);
    ASSERT_TRUE(after);
    EXPECT_EQ(before->command, Id::Run);
    EXPECT_EQ(after->command, Id::Run);
    EXPECT_EQ(before->log.level, log::Level::Info);
    EXPECT_EQ(after->log.level, log::Level::Info);
    EXPECT_EQ(before->log.file, "a.log");
    EXPECT_EQ(after->log.file, "a.log");
    EXPECT_TRUE(before->places);
    EXPECT_TRUE(after->places);
}

TEST(ArgumentsTest, LogGoesToStandardErrorAtWarnUnlessAsked) {
    const auto quiet = parsed({"run"});
    const auto file = parsed({"--log-to-file", "run"});

    ASSERT_TRUE(quiet);
    ASSERT_TRUE(file);
    EXPECT_EQ(quiet->log.level, log::Level::Warn);
    EXPECT_EQ(quiet->log.file, "");
    EXPECT_EQ(file->log.level, log::Level::Info);
    EXPECT_THAT(file->log.file, testing::MatchesRegex("vmm-[0-9]+\\.log"));
}

TEST(ArgumentsTest, SandboxIsOnUnlessTold) {
    const auto plain = parsed({"run"});
    const auto off = parsed({"run", "--sandbox", "off"});
    const auto filtered = parsed({"run", "--sandbox=off", "--seccomp", "log", "--sandbox-report"});
    const auto strict = parsed({"run", "--sandbox", "on", "--sandbox", "Strict"});

    ASSERT_TRUE(plain && off && filtered && strict);
    EXPECT_EQ(plain->sandbox.mode, sandbox::Mode::On);
    EXPECT_EQ(plain->sandbox.seccomp, sandbox::Seccomp::On);
    EXPECT_FALSE(plain->sandbox.report);
    EXPECT_EQ(off->sandbox.mode, sandbox::Mode::Off);
    EXPECT_EQ(off->sandbox.seccomp, sandbox::Seccomp::Off);
    EXPECT_EQ(filtered->sandbox.mode, sandbox::Mode::Off);
    EXPECT_EQ(filtered->sandbox.seccomp, sandbox::Seccomp::Log);
    EXPECT_TRUE(filtered->sandbox.report);
    EXPECT_EQ(strict->sandbox.mode, sandbox::Mode::Strict);
}

TEST(ArgumentsTest, SeccompTakesTheWordsOfCloudHypervisor) {
    EXPECT_EQ(parsed({"run", "--seccomp", "true"})->sandbox.seccomp, sandbox::Seccomp::On);
    EXPECT_EQ(parsed({"run", "--seccomp", "false"})->sandbox.seccomp, sandbox::Seccomp::Off);
    EXPECT_EQ(parsed({"run", "--seccomp", "log"})->sandbox.seccomp, sandbox::Seccomp::Log);
}

TEST(ArgumentsTest, UnknownModeOfTheSandboxIsNamed) {
    EXPECT_EQ(error_of({"run", "--sandbox", "stric"}),
              "error: --sandbox: 'stric' is none of on, off, strict\n"
              "  help: Did you mean 'strict'?\n");
    EXPECT_EQ(error_of({"run", "--seccomp", "errno"}),
              "error: --seccomp: 'errno' is none of on, log, off\n"
              "  help: Give one of these.\n");
    EXPECT_THAT(error_of({"run", "--sandbox"}), HasSubstr("--sandbox needs a value"));
    EXPECT_THAT(error_of({"run", "--sandbox-report=yes"}),
                HasSubstr("--sandbox-report takes no value"));
    EXPECT_THAT(error_of({"config", "schema", "--sandbox", "on"}),
                HasSubstr("unknown flag '--sandbox'"));
}

TEST(ArgumentsTest, MachineFlagsKeepTheirOrder) {
    const auto result =
        parsed({"run", "--num-cpu", "2", "-m", "1G", "-c", "4", "-i", "a", "-i", "b"});

    ASSERT_TRUE(result);
    ASSERT_EQ(result->flags.size(), 5U);
    EXPECT_EQ(result->flags[0].flag.path(), "cpus.boot_vcpus");
    EXPECT_EQ(result->flags[0].value, "2");
    EXPECT_EQ(result->flags[1].flag.path(), "memory");
    EXPECT_EQ(result->flags[2].flag.path(), "cpus");
    EXPECT_EQ(result->flags[2].value, "4");
    EXPECT_EQ(result->flags[3].value, "a");
    EXPECT_EQ(result->flags[4].value, "b");
}

TEST(ArgumentsTest, AliasesNameTheSameFlag) {
    const auto result = parsed({"run", "--cmdline", "a", "-p", "b", "--cmd-line", "c", "-k", "d"});

    ASSERT_TRUE(result);
    ASSERT_EQ(result->flags.size(), 4U);
    EXPECT_EQ(result->flags[0].flag.path(), "payload.cmdline");
    EXPECT_EQ(result->flags[1].flag.path(), "payload.cmdline");
    EXPECT_EQ(result->flags[2].flag.path(), "payload.cmdline");
    EXPECT_EQ(result->flags[3].flag.path(), "payload.kernel");
}

TEST(ArgumentsTest, ValueIsTakenAsItStands) {
    const auto result = parsed(
        {"run", "--cmd-line", "--memory", "-p", "[a,b]", "--cmd-line=", "--cmdline", "--x="});

    ASSERT_TRUE(result);
    ASSERT_EQ(result->flags.size(), 4U);
    EXPECT_EQ(result->flags[0].value, "--memory");
    EXPECT_EQ(result->flags[1].value, "[a,b]");
    EXPECT_EQ(result->flags[2].value, "");
    EXPECT_EQ(result->flags[3].value, "--x=");
}

TEST(ArgumentsTest, OptionalValueLeftOutIsOn) {
    const auto result = parsed({"run", "--rng", "--pvpanic", "--pvpanic=off", "--pvpanic", "off"});

    ASSERT_TRUE(result);
    ASSERT_EQ(result->flags.size(), 4U);
    EXPECT_EQ(result->flags[0].value, "on");
    EXPECT_EQ(result->flags[1].value, "on");
    EXPECT_EQ(result->flags[2].value, "off");
    EXPECT_EQ(result->flags[3].value, "off");
}

TEST(ArgumentsTest, CommandsOfTwoWordsAreKnown) {
    const auto show = parsed({"config", "-l", "info", "show", "--config", "a.json"});
    const auto schema = parsed({"config", "schema"});

    ASSERT_TRUE(show);
    ASSERT_TRUE(schema);
    EXPECT_EQ(show->command, Id::ConfigShow);
    EXPECT_EQ(show->config_file, "a.json");
    EXPECT_EQ(schema->command, Id::ConfigSchema);
}

TEST(ArgumentsTest, HelpIsGivenWhateverElseIsWrong) {
    const auto result = parsed({"run", "--memroy", "1G", "--help"});

    ASSERT_TRUE(result);
    EXPECT_TRUE(result->help);
    EXPECT_EQ(result->command, Id::Run);
}

TEST(ArgumentsTest, UnknownCommandNamesTheNearest) {
    EXPECT_EQ(error_of({"rum"}),
              "error: unknown command 'rum'\n"
              "  help: Did you mean 'run'? Commands: run, config.\n");
    EXPECT_EQ(error_of({"config", "shwo"}),
              "error: unknown command 'shwo'\n"
              "  help: Did you mean 'show'? Commands: show, check, schema, reference.\n");
    EXPECT_THAT(error_of({""}), HasSubstr("unknown command ''"));
}

TEST(ArgumentsTest, UnknownFlagNamesTheNearest) {
    EXPECT_EQ(error_of({"run", "--memroy", "1G"}),
              "error: unknown flag '--memroy'\n"
              "  help: Did you mean --memory? `vmm run --help` lists all flags.\n");
    EXPECT_THAT(error_of({"run", "--log-levle", "info"}), HasSubstr("Did you mean --log-level?"));
    EXPECT_THAT(error_of({"run", "--confg=x"}), HasSubstr("Did you mean --config?"));
    EXPECT_EQ(error_of({"run", "-q"}),
              "error: unknown flag '-q'\n"
              "  help: `vmm run --help` lists all flags.\n");
}

TEST(ArgumentsTest, MachineFlagOfACommandThatTakesNoneIsUnknown) {
    EXPECT_THAT(error_of({"config", "schema", "--memory", "1G"}),
                HasSubstr("unknown flag '--memory'"));
}

TEST(ArgumentsTest, MachineFlagBeforeTheCommandIsSentAfterIt) {
    EXPECT_EQ(error_of({"--kernel", "K", "run"}),
              "error: --kernel stands before the command\n"
              "  help: Write it after the command: vmm run --kernel ...\n");
    EXPECT_THAT(error_of({"-k", "K", "run"}), HasSubstr("-k stands before the command"));
    EXPECT_THAT(error_of({"--config=a.json"}), HasSubstr("no command before --config"));
    EXPECT_THAT(error_of({"--log-levle=info", "run"}), HasSubstr("Did you mean --log-level?"));
}

TEST(ArgumentsTest, MissingValueIsSaid) {
    EXPECT_EQ(error_of({"run", "--kernel"}),
              "error: --kernel needs a value\n"
              "  help: See the flag in `vmm run --help`.\n");
    EXPECT_THAT(error_of({"-l"}), HasSubstr("-l needs a value"));
}

TEST(ArgumentsTest, ValueForAFlagWithoutOneIsRefused) {
    EXPECT_EQ(error_of({"run", "--log-to-file=x"}),
              "error: --log-to-file takes no value\n"
              "  help: Remove 'x'.\n");
}

TEST(ArgumentsTest, ArgumentWithoutAFlagIsRefused) {
    EXPECT_EQ(error_of({"run", "vmlinuz"}),
              "error: unexpected argument 'vmlinuz'\n"
              "  help: Each value needs its flag: vmm run --kernel vmlinuz?\n");
    EXPECT_THAT(error_of({"config", "schema", "x"}), HasSubstr("unexpected argument 'x'"));
}

TEST(ArgumentsTest, UnknownLogLevelListsTheLevels) {
    EXPECT_EQ(error_of({"run", "-l", "inof"}),
              "error: --log-level: 'inof' is none of trace, debug, info, warn, error, off\n"
              "  help: Did you mean 'info'?\n");
}

TEST(ArgumentsTest, NothingAtAllIsNoCommand) {
    const auto result = parsed({});

    ASSERT_TRUE(result);
    EXPECT_EQ(result->command, Id::None);
}

}  // namespace
}  // namespace vmm::cli
