// The built program, from outside: what a person types, sees, and gets as exit code.
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string content(const std::filesystem::path& file) {
    std::ifstream in{file, std::ios::binary};
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

struct Outcome {
    int code = -1;  ///< minus the signal if one killed it
    std::string out;
    std::string err;
};

class ProgramTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = "/tmp/vmm-cli-test-XXXXXX";
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string file(const std::string& name, std::string_view text) const {
        std::ofstream{folder_ / name, std::ios::binary} << text;
        return folder_ / name;
    }

    /// Standard input is empty. `closed` and `out` replace a descriptor.
    Outcome vmm(std::vector<std::string> args, const char* out = nullptr, int closed = -1) const {
        return end_of(start(std::move(args), out, closed));
    }

    pid_t start(std::vector<std::string> args, const char* out = nullptr, int closed = -1) const {
        const auto out_file = (folder_ / "out").string();
        const auto err_file = (folder_ / "err").string();
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(&actions, 1, out != nullptr ? out : out_file.c_str(),
                                         O_WRONLY | O_CREAT | O_TRUNC, 0600);
        posix_spawn_file_actions_addopen(&actions, 2, err_file.c_str(),
                                         O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (closed >= 0)
            posix_spawn_file_actions_addclose(&actions, closed);
        std::string program = "vmm";
        std::vector<char*> argv{program.data()};
        for (auto& arg : args)
            argv.push_back(arg.data());
        argv.push_back(nullptr);
        pid_t pid = 0;
        EXPECT_EQ(posix_spawn(&pid, VMM_PROGRAM, &actions, nullptr, argv.data(), environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        return pid;
    }

    Outcome end_of(pid_t pid) const {
        int status = 0;
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
                content(folder_ / "out"), content(folder_ / "err")};
    }

    std::filesystem::path folder_;
};

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
                            "4,topology=2:2:1:1",
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
