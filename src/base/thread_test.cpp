// SPDX-License-Identifier: Apache-2.0
#include "vmm/thread.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace vmm {
namespace {

constexpr std::string_view kLess = ", or give the machine fewer CPUs and devices.";

std::string advice(const ThreadLimits& limits) {
    auto text = advice_on_threads(limits);
    EXPECT_TRUE(text.ends_with(kLess));
    return text.substr(0, text.size() - kLess.size());
}

TEST(ThreadLimitsTest, AdviceIsOnTheLimitThatIsInTheWay) {
    EXPECT_EQ(advice({.stack_fits = false, .address_space = 4 << 20, .processes = 10}),
              "Raise the limit on address space (ulimit -v, now 4096 KiB): a thread's stack does "
              "not fit any more");
    EXPECT_EQ(advice({.stack_fits = false, .data = 4 << 20, .processes = 10}),
              "Raise the limit on data (ulimit -d, now 4096 KiB): a thread's stack does not fit "
              "any more");
    EXPECT_EQ(advice({.stack_fits = false, .processes = 10}),
              "Free memory on the host: there is none for a thread's stack");
    EXPECT_EQ(advice({.address_space = 4 << 20, .processes = 10}),
              "Raise the limit on the user's processes and threads (ulimit -u, now 10) or the "
              "control group's (pids.max, a systemd unit's TasksMax=)");
    EXPECT_EQ(advice({}),
              "Raise the control group's limit on tasks (pids.max, a systemd unit's TasksMax=)");
}

TEST(ThreadLimitsTest, OtherErrorsHaveNoAdvice) {
    EXPECT_EQ(no_thread(EPERM).report(),
              "error: pthread_create: Operation not permitted (errno 1)\n");
    EXPECT_EQ(no_thread(EAGAIN).os_error(), EAGAIN);
}

}  // namespace
}  // namespace vmm
