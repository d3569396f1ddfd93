// SPDX-License-Identifier: Apache-2.0
// The records of the log, for tests that look for one.
//
// GoogleTest's CaptureStderr() sees them only in a process that has not logged before: the log
// keeps the standard error that it began with.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "vmm/log.hpp"
#include "vmm/message_stream.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::test {

/// What is logged from here on. The first one sends the log of this process to memory, for good.
/// Threads: the test's; nobody logs while it is made.
class CapturedLog {
public:
    CapturedLog() : start_{all().size()} {}

    std::string text() const { return all().substr(start_); }

private:
    static const UniqueFd& file() {
        static const UniqueFd memory = [] {
            UniqueFd made{::memfd_create("log", MFD_CLOEXEC)};
            const auto path = cat("/proc/self/fd/", made.get());
            EXPECT_TRUE(log::configure({.level = log::Level::Warn, .file = path}).has_value());
            return made;
        }();
        return memory;
    }
    static std::string all() {
        const int fd = file().get();
        finish_messages(std::chrono::minutes{1});
        std::string text(static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)), '\0');
        EXPECT_EQ(::pread(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
        return text;
    }

    std::size_t start_;
};

}  // namespace vmm::test
