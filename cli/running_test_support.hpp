// SPDX-License-Identifier: Apache-2.0
// A machine that runs until a test ends it. Needs /dev/kvm.
#pragma once

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/program_test_support.hpp"

namespace vmm::cli {

class RunningTest : public ProgramTest {
protected:
    void SetUp() override {
        ProgramTest::SetUp();
        if (::access("/dev/kvm", R_OK | W_OK) != 0)
            GTEST_SKIP() << "/dev/kvm cannot be used here";
        kernel_ = file("payload", payload());
        pid_file_ = folder_ / "web.pid";
    }

    /// One whose guest halts for ever; its pid file is there, unless it has ended already.
    pid_t start_machine(const std::vector<std::string>& more = {}) const {
        std::vector<std::string> args{"run",      "-k",  kernel_,      "--serial", "null",
                                      "--memory", "16M", "--pid-file", pid_file_};
        args.insert(args.end(), more.begin(), more.end());
        const pid_t pid = start(args);
        // Generous: the machine may be busy, and a sanitizer slows the start.
        for (int i = 0; i < 6000 && content(pid_file_) != std::to_string(pid) + "\n"; ++i) {
            siginfo_t ended{};
            if (::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                ended.si_pid == pid)
                break;
            ::poll(nullptr, 0, 10);
        }
        return pid;
    }

    std::string kernel_;
    std::string pid_file_;
};

}  // namespace vmm::cli
