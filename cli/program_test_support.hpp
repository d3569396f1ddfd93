// Runs the built program as a user does, for tests.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::cli {

inline std::string content(const std::filesystem::path& file) {
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

}  // namespace vmm::cli
