// SPDX-License-Identifier: Apache-2.0
// What the host takes away or does not give: exit codes and the words for it.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>

#include "rig.hpp"
#include "support/sanitizers.hpp"

namespace vmm::endings {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

using test::kSanitized;
using FailureTest = EndingTest;

// ---- guest RAM

TEST_F(FailureTest, RamFileThatIsTruncatedEndsTheGuestWithAdvice) {
    const auto ram = path("ram");
    Child vmm{run({"--memory", "64M,shared=on,file=" + ram}), {.terminal = true}};
    ASSERT_TRUE(vmm.says("ready"));
    std::filesystem::resize_file(ram, 16 << 20);
    vmm.type("m");

    EXPECT_EQ(vmm.end(), 1);
    EXPECT_THAT(vmm.error(), AllOf(HasSubstr("error: "), HasSubstr("\n  help: ")));
    EXPECT_TRUE(vmm.given_back());
}

// ---- a reset

TEST_F(FailureTest, KernelFileThatWasRewrittenFailsTheResetAsTheHosts) {
    std::filesystem::copy_file(guest(), path("kernel"));
    Child vmm{{"run", "--kernel", path("kernel"), "--memory", "64M", "--on-crash", "reset"},
              {.terminal = true}};
    ASSERT_TRUE(vmm.says("ready"));
    write("kernel", "no kernel");
    vmm.type("t");

    EXPECT_EQ(vmm.end(), 1);
    EXPECT_THAT(vmm.error(), StartsWith("error: reset the machine: "));
    EXPECT_TRUE(vmm.given_back());
}

// ---- limits

// Which is SIGXFSZ, and would be the end of the process.
TEST_F(FailureTest, OutputThatReachesTheLimitOfFilesCostsThatOutput) {
    constexpr rlim_t kLimit = 4096;
    const auto log = path("log");
    const UniqueFd file{::open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
    Child vmm{run({"--debug-exit", "0xf4"}),
              {.limits = {{RLIMIT_FSIZE, kLimit}}, .output = file.get()}};
    vmm.type("p");
    for (int i = 0; i < 3000 && std::filesystem::file_size(log) < kLimit; ++i)
        ::usleep(10'000);
    EXPECT_EQ(std::filesystem::file_size(log), kLimit);
    vmm.type("q");

    EXPECT_EQ(vmm.end(), 0);
}

TEST_F(FailureTest, LogThatReachesTheLimitOfFilesCostsThatLog) {
    constexpr rlim_t kLimit = 64;
    const auto log = path("log");
    Child vmm{run({"--debug-exit", "0xf4", "--log-file", log, "-l", "debug"}),
              {.limits = {{RLIMIT_FSIZE, kLimit}}}};
    ASSERT_TRUE(vmm.says("ready"));
    vmm.type("q");

    EXPECT_EQ(vmm.end(), 0);
    EXPECT_EQ(std::filesystem::file_size(log), kLimit);
}

TEST_F(FailureTest, AddressSpaceThatIsTooSmallForRamIsNamed) {
    if (kSanitized)
        GTEST_SKIP() << "a sanitizer needs its address space";
    Child vmm{run({"--memory", "4G"}), {.limits = {{RLIMIT_AS, rlim_t{1} << 30}}}};

    EXPECT_EQ(vmm.end(), 1);
    EXPECT_THAT(vmm.error(),
                HasSubstr("  help: Raise the limit on address space (`ulimit -v unlimited`)"));
}

TEST_F(FailureTest, AddressSpaceThatIsTooSmallForThreadsIsNamed) {
    if (kSanitized)
        GTEST_SKIP() << "a sanitizer needs its address space";
    Child vmm{run({"--num-cpu", "64"}),
              {.limits = {{RLIMIT_AS, rlim_t{300} << 20}, {RLIMIT_STACK, rlim_t{8} << 20}}}};

    EXPECT_EQ(vmm.end(), 1);
    EXPECT_THAT(vmm.error(),
                AllOf(HasSubstr("error: start the thread of vCPU "),
                      HasSubstr("  help: Raise the limit on address space (ulimit -v")));
}

TEST_F(FailureTest, TooFewDescriptorsAreNamed) {
    if (kSanitized)
        GTEST_SKIP() << "a sanitizer needs descriptors of its own";
    Child vmm{run(), {.limits = {{RLIMIT_NOFILE, 7}}}};

    EXPECT_EQ(vmm.end(), 1);
    EXPECT_THAT(vmm.error(), AllOf(StartsWith("error: "),
                                   HasSubstr("  help: Raise the hard limit of open files")));
}

// ---- descriptors

TEST_F(FailureTest, DescriptorThatWasNotOpenIsRefused) {
    Child vmm{run({"--net", "fd=17"}), {}};

    EXPECT_EQ(vmm.end(), 2);
    EXPECT_EQ(vmm.error(),
              "error: net[0].fds (--net): descriptor 17 was not open when vmm was started\n"
              "  help: Open /dev/net/tun, attach it to an interface with TUNSETIFF, and start vmm "
              "with that descriptor open and without close-on-exec.\n");
}

TEST_F(FailureTest, StandardDescriptorsAreRefused) {
    for (const auto* const fd : {"0", "1", "2"}) {
        Child vmm{run({"--net", std::string{"fd="} + fd}), {}};

        EXPECT_EQ(vmm.end(), 2);
        EXPECT_EQ(vmm.error(), std::string{"error: net[0].fds: descriptor "} + fd +
                                   " is standard input, output or error of vmm itself\n"
                                   "  help: Pass the tap on as descriptor 3 or above.\n");
    }
}

}  // namespace
}  // namespace vmm::endings
