// SPDX-License-Identifier: Apache-2.0
// A process that a test may confine for good.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "vmm/unique_fd.hpp"

namespace vmm::sandbox {

struct Ended {
    int status = 0;
    std::string error;  ///< its standard error

    bool died_of(int signal) const { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }
    bool ended_with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
};

/// Runs `body` in a process of its own; what it returns is the exit code.
template <class Body>
Ended in_child(Body body) {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    const UniqueFd reader{pipe[0]};
    UniqueFd writer{pipe[1]};
    const pid_t child = ::fork();
    if (child == 0) {
        constexpr rlimit kNone{};
        ::setrlimit(RLIMIT_CORE, &kNone);
        ::dup2(writer.get(), STDERR_FILENO);
        ::_exit(body());
    }
    writer = UniqueFd{};
    Ended ended;
    std::array<char, 4096> some{};
    for (ssize_t got = 0; (got = ::read(reader.get(), some.data(), some.size())) > 0;)
        ended.error.append(some.data(), static_cast<std::size_t>(got));
    EXPECT_EQ(::waitpid(child, &ended.status, 0), child);
    return ended;
}

/// The text that `act` gives in a process of its own.
template <class Act>
std::string said_in_child(Act act) {
    auto ended = in_child([&] {
        const std::string text = act();
        return ::write(STDERR_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size())
                   ? 0
                   : 1;
    });
    EXPECT_TRUE(ended.ended_with(0)) << ended.status;
    return std::move(ended.error);
}

class FolderTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = "/tmp/vmm-sandbox-test-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string folder_;
};

}  // namespace vmm::sandbox
