// SPDX-License-Identifier: Apache-2.0
// The built program, from outside: what a user types and sees, and the exit code.
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "cli/program_test_support.hpp"

namespace vmm::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST_F(ProgramTest, VersionGoesToStandardOutput) {
    const auto outcome = vmm({"--version"});

    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, testing::MatchesRegex("vmm [0-9]+\\.[0-9]+\\.[0-9]+\n"));
    EXPECT_EQ(outcome.err, "");
}

TEST_F(ProgramTest, NoCommandPrintsTheHelpAsAnError) {
    const auto outcome = vmm({});

    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr("Usage: vmm COMMAND"));
    EXPECT_THAT(outcome.err,
                testing::EndsWith("\nerror: no command is given: vmm does not know what to do\n"
                                  "  help: Start a guest with vmm run --kernel FILE; vmm run "
                                  "--help lists its flags.\n"));
}

TEST_F(ProgramTest, HelpOfRunListsTheFlags) {
    const auto outcome = vmm({"run", "--help"});

    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("-k, --kernel FILE"));
    EXPECT_THAT(outcome.out, HasSubstr("-p, --cmd-line, --cmdline TEXT"));
    EXPECT_THAT(outcome.out, HasSubstr("-m, --memory SIZE,..."));
    EXPECT_THAT(outcome.out, HasSubstr("--log-to-file"));
}

TEST_F(ProgramTest, HelpOfConfigListsItsCommands) {
    const auto outcome = vmm({"config", "--help"});

    EXPECT_EQ(outcome.code, 0);
    for (const auto* const name : {"show", "check", "schema", "reference"})
        EXPECT_THAT(outcome.out, HasSubstr(std::string{"  config "} + name + "  "));
}

TEST_F(ProgramTest, ShownConfigurationReadsBackToTheSameBytes) {
    const auto first = vmm({"config",
                            "show",
                            "--kernel",
                            "K",
                            "-i",
                            "a",
                            "-i",
                            "b",
                            "--memory",
                            "size=512M,shared=on",
                            "--cpus",
                            "4,topology=2:2:1:1,affinity=[0@[2,3],1@[4-6]]",
                            "--serial",
                            "file=/x",
                            "--disk",
                            "path=\"a,b\",ro",
                            "--net",
                            "user,publish=1:2",
                            "--console-port",
                            "name=agent,socket=/run/agent",
                            "--console-port",
                            "name=log,file=/log"});
    const auto saved = file("shown.json", first.out);
    const auto second = vmm({"config", "show", "--config", saved});

    EXPECT_EQ(first.code, 0) << first.err;
    EXPECT_EQ(second.code, 0) << second.err;
    EXPECT_EQ(second.out, first.out);
    EXPECT_THAT(first.out, HasSubstr("\"size\": 536870912"));
    EXPECT_THAT(first.out, HasSubstr("\"socket\": \"/run/agent\""));
    EXPECT_THAT(first.out, HasSubstr("\"vcpu\": 1"));
}

TEST_F(ProgramTest, FlagGoesOverTheFileKeyByKey) {
    const auto saved = file("a.json", R"({"memory": {"size": "512M", "shared": true}})");
    const auto outcome = vmm({"config", "show", "--config", saved, "--memory", "1G"});

    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("\"size\": 1073741824"));
    EXPECT_THAT(outcome.out, HasSubstr("\"shared\": true"));
}

TEST_F(ProgramTest, AddedConsoleIsShownAndCanBeSwitchedOff) {
    const auto on = vmm({"config", "show", "-k", "K", "-p", "quiet"});
    const auto off = vmm({"config", "show", "-k", "K", "-p", "quiet", "--auto-cmdline", "off"});

    EXPECT_THAT(on.out, HasSubstr("\"cmdline\": \"console=ttyS0 initcall_blacklist=jent_mod_init "
                                  "quiet\""));
    EXPECT_THAT(off.out, HasSubstr("\"cmdline\": \"quiet\""));
}

TEST_F(ProgramTest, CheckSaysOkOrWhatIsWrong) {
    const auto good = vmm({"config", "check", "--kernel", "K"});
    const auto bad = vmm({"config", "check"});

    EXPECT_EQ(good.code, 0);
    EXPECT_EQ(good.out, "ok\n");
    EXPECT_EQ(bad.code, 2);
    EXPECT_EQ(bad.err,
              "error: nothing to boot: neither a kernel nor a firmware is given\n"
              "  help: Name a kernel with --kernel FILE, or with payload.kernel in the file of "
              "--config.\n");
}

TEST_F(ProgramTest, ErrorInAFileNamesLineAndColumn) {
    const auto comma = file("comma.json", "{\n  \"cpus\": {\"boot_vcpus\": 1,, }\n}\n");
    const auto outcome = vmm({"run", "--config", comma});

    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, StartsWith("error: " + comma + ":2:28: "));
}

TEST_F(ProgramTest, MissingConfigurationFileIsABadRequest) {
    const auto outcome = vmm({"run", "--config", "/nonexistent/vm.json"});

    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.err,
              "error: read the configuration /nonexistent/vm.json: open: No such file or directory "
              "(errno 2)\n  help: Check the name given with --config.\n");
}

TEST_F(ProgramTest, ConfigurationFileWithoutEndIsRefused) {
    const auto outcome = vmm({"config", "check", "--config", "/dev/zero"});

    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("/dev/zero is larger than 1 MiB"));
}

TEST_F(ProgramTest, VerboseErrorsNameThePlaceInTheSource) {
    const auto outcome = vmm({"-v", "config", "check"});

    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("    at src/config/validate.cpp:"));
}

TEST_F(ProgramTest, SchemaIsPrinted) {
    const auto outcome = vmm({"config", "schema"});

    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("https://json-schema.org/draft/2020-12/schema"));
}

TEST_F(ProgramTest, FullStandardOutputIsAHostFailure) {
    const auto outcome = vmm({"config", "schema"}, "/dev/full");

    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("print to standard output: write: No space left"));
}

TEST_F(ProgramTest, ClosedStandardErrorDoesNotBecomeAnotherFile) {
    const auto saved = file("a.json", "{\"memroy\": 1}");
    const auto outcome = vmm({"config", "check", "--config", saved}, nullptr, 2);

    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(content(saved), "{\"memroy\": 1}");
}

// The program has come as far as its configuration when somebody can open the other end.
TEST_F(ProgramTest, SignalAboutDisksBeforeThereIsAMachineIsIgnored) {
    const auto pipe = (folder_ / "pipe").string();
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    const pid_t pid = start({"run", "--config", pipe});
    std::ofstream config{pipe};

    EXPECT_EQ(::kill(pid, SIGUSR1), 0);
    config << "{}";
    config.close();

    const auto outcome = end_of(pid);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("nothing to boot"));
}

TEST_F(ProgramTest, LogFileThatCannotBeOpenedIsABadRequest) {
    const auto outcome = vmm({"run", "-k", "K", "--log-file", "/dev/null/a.log"});

    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("open log file /dev/null/a.log"));
}

TEST_F(ProgramTest, PolicyThatDoesNothingIsAWarning) {
    const auto outcome = vmm({"config", "check", "-k", "K", "--on-panic", "pause"});

    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.out, "ok\n");
    EXPECT_THAT(outcome.err, HasSubstr("does nothing without pvpanic (--pvpanic)"));
}

TEST_F(ProgramTest, OutputThatIsADiskIsRefusedAndTheDiskStaysWhole) {
    const auto disk = file("d.img", "precious");
    const std::vector<std::vector<std::string>> outputs{{"--serial", "file=" + disk},
                                                        {"--log-file", disk}};
    for (const auto& output : outputs)
        for (const auto& command : {std::vector<std::string>{"run"}, {"config", "check"}}) {
            auto args = command;
            args.insert(args.end(), {"-k", "K", "--disk", disk});
            args.insert(args.end(), output.begin(), output.end());
            const auto outcome = vmm(args);

            EXPECT_EQ(outcome.code, 2);
            EXPECT_THAT(outcome.err, StartsWith("error: disks[0] (--disk) and "));
            EXPECT_EQ(content(disk), "precious");
        }
}

}  // namespace
}  // namespace vmm::cli
