// SPDX-License-Identifier: Apache-2.0
#include "sandbox/confinement.hpp"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "sandbox/child_test_support.hpp"
#include "sandbox/namespaces.hpp"
#include "sandbox/privileges.hpp"
#include "vmm/text.hpp"

namespace vmm::sandbox {
namespace {

using testing::HasSubstr;

class ConfinementTest : public FolderTest {};

std::string text_of(const Result<Report>& report) {
    return report ? report->one_line() : report.error().report();
}

/// The line of /proc/self/status that begins so.
std::string status_line(std::string_view key) {
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(key))
            return line;
    return {};
}

TEST_F(ConfinementTest, OffChangesNothing) {
    EXPECT_EQ(said_in_child([&] {
                  const auto report = confine({.mode = Mode::Off});
                  return cat(text_of(report), ", ", ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
              }),
              "sandbox: none, 0");
}

TEST_F(ConfinementTest, KernelWithoutLandlockIsTold) {
    EXPECT_EQ(said_in_child([&] {
                  const auto report = confine({.mode = Mode::On, .landlock = 0});
                  return cat(text_of(report), "; open: ", ::access("/etc/passwd", R_OK));
              }),
              "sandbox: no new privileges, no capabilities; missing: Landlock (this kernel has "
              "no Landlock, it is switched off, or a container forbids it); open: 0");
}

TEST_F(ConfinementTest, EachKernelSaysWhatItLacks) {
    const int known = landlock_version();
    const auto told = [](int version) {
        return said_in_child(
            [&] { return text_of(confine({.mode = Mode::On, .landlock = version})); });
    };
    if (known < 7)
        GTEST_SKIP() << "this kernel's Landlock is older";
    EXPECT_EQ(told(2),
              "sandbox: no new privileges, no capabilities, Landlock ABI 2; missing: Landlock for "
              "truncating files, Landlock for TCP ports, Landlock for ioctls of devices, Landlock "
              "for abstract sockets and signals");
    EXPECT_EQ(told(6), "sandbox: no new privileges, no capabilities, Landlock ABI 6");
    EXPECT_EQ(told(7), "sandbox: no new privileges, no capabilities, Landlock ABI 7");
}

TEST_F(ConfinementTest, StrictTakesNoLess) {
    EXPECT_EQ(
        said_in_child([&] { return text_of(confine({.mode = Mode::Strict, .landlock = 0})); }),
        "error: --sandbox strict: this kernel has no Landlock, it is switched off, or a "
        "container forbids it\n"
        "  help: Use Linux 6.12 or later with landlock in its list of security modules (the "
        "kernel's parameter lsm=) and in the container's seccomp profile, or --sandbox on.\n");
    EXPECT_EQ(
        said_in_child([&] { return text_of(confine({.mode = Mode::Strict, .landlock = 4})); }),
        "error: --sandbox strict: Landlock of this kernel (ABI 4) does not restrict ioctls "
        "of devices, abstract sockets and signals\n"
        "  help: Use Linux 6.12 or later, or --sandbox on.\n");
}

// Sixteen domains are the most that Linux nests: here the host refuses one more.
TEST_F(ConfinementTest, WhatTheHostRefusesIsToldAndWithStrictAnError) {
    if (landlock_version() < kWholeLandlock)
        GTEST_SKIP() << "this kernel's Landlock is older";
    const auto after_many = [](Mode mode) {
        return said_in_child([&] {
            auto landlock = Landlock::prepare(landlock_version(), {});
            if (!landlock || !forbid_new_privileges())
                return std::string{"cannot begin"};
            while (landlock->enter())
                continue;
            return text_of(confine({.mode = mode, .landlock = kWholeLandlock}));
        });
    };

    EXPECT_EQ(after_many(Mode::On),
              "sandbox: no new privileges, no capabilities; missing: Landlock "
              "(landlock_restrict_self: Argument list too long (errno 7))");
    EXPECT_THAT(after_many(Mode::Strict), testing::StartsWith("error: --sandbox strict: "));
}

TEST_F(ConfinementTest, ReportListsThePaths) {
    if (landlock_version() < 6)
        GTEST_SKIP() << "this kernel's Landlock is older";
    const std::vector<PathRule> paths{{folder_, PathAccess::Publish, "test"},
                                      {"/dev/null", PathAccess::Read, "test"}};
    EXPECT_EQ(said_in_child([&] {
                  const auto report = confine({.mode = Mode::On, .paths = paths, .landlock = 6});
                  return report ? report->page() : report.error().report();
              }),
              "sandbox:\n  no new privileges\n  no capabilities\n  Landlock ABI 6\n  allowed in " +
                  folder_ + ": make and remove files\n  allowed in /dev/null: read");
}

TEST_F(ConfinementTest, NoCapabilityIsLeft) {
    EXPECT_EQ(said_in_child([&] {
                  const auto kept = drop_capabilities({});
                  if (!kept)
                      return kept.error().one_line();
                  return cat(status_line("CapPrm"), status_line("CapEff"), status_line("CapInh"),
                             status_line("CapAmb"));
              }),
              "CapPrm:\t0000000000000000CapEff:\t0000000000000000CapInh:\t0000000000000000"
              "CapAmb:\t0000000000000000");
}

TEST_F(ConfinementTest, ProgramsGetNoCapabilityEither) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    const auto out = folder_ + "/status";
    EXPECT_EQ(said_in_child([&] {
                  const auto report = confine({.mode = Mode::On, .landlock = 0});
                  const auto command = "grep -h '^Cap[PE]' /proc/self/status > " + out;
                  // runs: grep
                  return cat(report ? "" : "failed", std::system(command.c_str()));
              }),
              "0");
    std::ifstream status{out};
    EXPECT_EQ((std::string{std::istreambuf_iterator<char>{status}, {}}),
              "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n");
}

TEST_F(ConfinementTest, AnothersFolderKeepsItsCapability) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    const auto theirs = folder_ + "/theirs";
    ASSERT_EQ(::mkdir(theirs.c_str(), 0700), 0);
    ASSERT_EQ(::chown(theirs.c_str(), 65534, 65534), 0);
    const auto dropped = [](const std::string& folder) {
        return said_in_child([&] {
            const std::vector<Reach> reach{{folder, W_OK | X_OK}};
            const auto kept = drop_capabilities(reach);
            return cat(kept ? *kept : kept.error().one_line(), " ", status_line("CapEff"), " ",
                       ::access((folder + "/none").c_str(), F_OK) == 0 || errno == ENOENT
                           ? "reached"
                           : "refused");
        });
    };

    EXPECT_EQ(dropped(theirs), theirs + " CapEff:\t0000000000000002 reached");
    EXPECT_EQ(dropped(folder_), " CapEff:\t0000000000000000 reached");
}

TEST_F(ConfinementTest, NothingIsGainedByAProgram) {
    EXPECT_EQ(said_in_child([&] {
                  const auto report = confine({.mode = Mode::On, .landlock = 0});
                  return cat(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), report ? "" : "failed");
              }),
              "1");
}

TEST_F(ConfinementTest, StrictLeavesTheNamedPathsAndNothingElse) {
    if (landlock_version() < kWholeLandlock)
        GTEST_SKIP() << "this kernel's Landlock is older";
    const auto file = folder_ + "/file";
    std::ofstream{file} << "text";
    const auto result = said_in_child([&] {
        if (const auto done = prepare_namespaces(); !done)
            return "skip: " + done.error().report();
        const std::vector<std::string> paths{folder_};
        if (const auto done = enter_namespaces(paths); !done)
            return "skip: " + done.error().report();
        std::ifstream in{file};
        std::string text;
        std::getline(in, text);
        return cat(text, ", etc ", ::access("/etc", F_OK), ", proc ", ::access("/proc", F_OK),
                   ", write to / ", ::mkdir("/new", 0700));
    });
    if (result.starts_with("skip"))
        GTEST_SKIP() << result;

    EXPECT_EQ(result, "text, etc -1, proc -1, write to / -1");
}

TEST_F(ConfinementTest, StrictSaysWhatAHostForbids) {
    const auto result = said_in_child([&]() -> std::string {
        if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0))
            return "skip: no other user";
        ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // else /proc/self is root's
        if (const auto done = prepare_namespaces(); !done)
            return "skip: " + done.error().report();
        std::ofstream most{"/proc/sys/user/max_user_namespaces"};
        if (!(most << "0" << std::flush) || !drop_capabilities({}))
            return "skip: no host to play";
        const auto done = prepare_namespaces();
        return done ? "nothing" : done.error().report();
    });
    if (result.starts_with("skip"))
        GTEST_SKIP() << result;

    EXPECT_EQ(result,
              "error: --sandbox strict: make a user namespace: unshare: No space left on device "
              "(errno 28)\n  help: Allow unprivileged user namespaces on this host (sysctl "
              "user.max_user_namespaces, kernel.unprivileged_userns_clone, "
              "kernel.apparmor_restrict_unprivileged_userns, or the container's seccomp profile), "
              "or use --sandbox on.\n");
}

}  // namespace
}  // namespace vmm::sandbox
