// SPDX-License-Identifier: Apache-2.0
// Runs the built program with a small guest, on a terminal or on pipes, and waits for its end.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>
#include <termios.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/unique_fd.hpp"

namespace vmm::endings {

struct StartOptions {
    bool terminal = false;              ///< standard input and output; else pipes
    std::vector<int> ignored = {};      ///< signals, at exec
    std::vector<int> blocked = {};      ///< signals, at exec
    std::map<int, rlim_t> limits = {};  ///< by RLIMIT_...
    std::string path = {};              ///< PATH; empty: ours
    int error = -1;                     ///< standard error; else a pipe
    int output = -1;                    ///< standard output; else the terminal or a pipe
    bool full_error = false;            ///< the pipe of standard error is full
};

/// A child. Ended, if it still runs, when this goes.
class Child {
public:
    Child(std::vector<std::string> args, const StartOptions& options);
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();

    pid_t pid() const { return pid_; }
    bool says(std::string_view text);       ///< on standard output, within half a minute
    bool complains(std::string_view text);  ///< the same on standard error
    /// Sends it twice: the second one when the first has been taken, or the kernel makes one of
    /// them. The program runs with `-l info`.
    void send_twice(int signal);
    void type(std::string_view text) const;  ///< on standard input
    void send(int signal) const;
    pid_t thread(std::string_view name) const;  ///< 0 if there is none
    void send(int signal, std::string_view thread) const;

    /// The exit code, or minus the signal that it died of. Half a minute, then the test has failed.
    int end();
    std::string error();  ///< all of standard error, after end()

    bool runs() const;         ///< has not ended
    bool becomes_raw() const;  ///< the terminal, within half a minute: the guest may be quicker
    bool given_back() const;   ///< the terminal is as it was before

private:
    static bool comes(const UniqueFd& from, std::string& so_far, std::string_view text);
    void prepare(const StartOptions& options) const;

    pid_t pid_ = -1;
    UniqueFd pidfd_;
    UniqueFd input_;   // our end
    UniqueFd output_;  // our end
    UniqueFd error_;   // our end
    UniqueFd terminal_;
    termios before_{};
    std::string said_;
    std::string complained_;
    std::optional<int> code_;
};

/// With a folder of its own; skips where there is no /dev/kvm.
class EndingTest : public testing::Test {
protected:
    void SetUp() override;
    void TearDown() override;

    std::string path(const std::string& name) const { return folder_ / name; }
    void write(const std::string& name, std::string_view text) const;

    /// `vmm run` of the guest with `more`.
    std::vector<std::string> run(std::vector<std::string> more = {}) const;

    static std::string guest();

    std::filesystem::path folder_;
};

}  // namespace vmm::endings
