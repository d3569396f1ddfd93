// SPDX-License-Identifier: Apache-2.0
// The ground: numbers that cannot be mixed up, errors that tell their story, messages.
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <future>
#include <span>
#include <thread>

#include "vmm/command_line.hpp"
#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/gpa.hpp"
#include "vmm/named_descriptor.hpp"
#include "vmm/register.hpp"
#include "vmm/scatter.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm {
namespace {

TEST(GpaRangeTest, ContainsRejectsLengthThatWouldWrap) {
    constexpr GpaRange ram{Gpa{0x1000}, 0x1000};

    EXPECT_TRUE(ram.contains(Gpa{0x1000}, 0x1000));
    EXPECT_TRUE(ram.contains(Gpa{0x1fff}, 1));
    EXPECT_FALSE(ram.contains(Gpa{0x1fff}, 2));
    EXPECT_FALSE(ram.contains(Gpa{0x1800}, ~0ull));
    EXPECT_FALSE(ram.contains(Gpa{0xfff}, 1));
}

TEST(ScatterTest, BytesGoAcrossPiecesFromTheOffsetOn) {
    std::array<char, 3> first{'a', 'b', 'c'};
    std::array<char, 2> second{'d', 'e'};
    const std::array<iovec, 3> pieces{iovec{first.data(), first.size()}, iovec{nullptr, 0},
                                      iovec{second.data(), second.size()}};

    EXPECT_EQ(scatter(pieces, 2, std::as_bytes(std::span{"XY", 2})), 2u);
    EXPECT_THAT(first, testing::ElementsAre('a', 'b', 'X'));
    EXPECT_THAT(second, testing::ElementsAre('Y', 'e'));
}

TEST(ScatterTest, WhatDoesNotFitIsLeftOutAndCounted) {
    std::array<char, 2> place{};
    const std::array<iovec, 1> pieces{iovec{place.data(), place.size()}};

    EXPECT_EQ(scatter(pieces, 1, std::as_bytes(std::span{"XYZ", 3})), 1u);
    EXPECT_EQ(place[1], 'X');
    EXPECT_EQ(scatter(pieces, 2, std::as_bytes(std::span{"XYZ", 3})), 0u);
}

struct Wide : Register<Wide, std::uint64_t> {
    using Register::Register;
    static constexpr Field<Wide, 63, 0, std::uint64_t> all{};
    static constexpr Field<Wide, 63, 56, std::uint8_t> top{};
};
static_assert(Wide{~0ull}[Wide::all] == ~0ull && Wide{0xab00'0000'0000'0001}[Wide::top] == 0xab);
static_assert(Wide{}.with(Wide::top, std::uint8_t{0xab}).raw() == 0xab00'0000'0000'0000);
static_assert(Wide{0b1111'0000}.written(0b0101'0101, 0x0f, 0xf0).raw() == 0b1010'0101);
static_assert(sizeof(Error) == sizeof(void*) && sizeof(Result<>) == 16);

Result<int> open_image() {
    return std::unexpected(Error::os("open", ENOENT).hint("create it with truncate"));
}
Result<int> add_disk() {
    return VMM_TRY_OR(open_image(), "device disk0: open backing file /no/such.img");
}

TEST(ErrorTest, ReportIsOneLineWithTheAdviceUnderIt) {
    const auto disk = add_disk();

    ASSERT_FALSE(disk);
    EXPECT_EQ(disk.error().report(),
              "error: device disk0: open backing file /no/such.img: open: No such file or "
              "directory (errno 2)\n  help: create it with truncate\n");
    EXPECT_EQ(disk.error().os_error(), ENOENT);
}

TEST(ErrorTest, ReportWithPlacesNamesEachFrameOutermostFirst) {
    const auto disk = add_disk();

    ASSERT_FALSE(disk);
    EXPECT_THAT(disk.error().report_with_places(),
                testing::MatchesRegex("error: device disk0(.|\n)*at tests/base_test.cpp:[0-9]+\n  "
                                      "because: open: No such(.|\n)*help: create(.|\n)*"));
}

TEST(ErrorTest, AnotherKindKeepsErrnoAndStory) {
    const auto error = Error::os("open", ENOENT).as(ErrorKind::Config);

    EXPECT_EQ(error.kind(), ErrorKind::Config);
    EXPECT_EQ(error.os_error(), ENOENT);
}

TEST(TextTest, PartsOfAllKindsStandInARow) {
    EXPECT_EQ(cat("a", 'b', std::string{"c"}, 12, -3, Hex{0x1f}, " ", Gpa{0xfff}, true ? "!" : ""),
              "abc12-30x1f gpa 0xfff!");
}

int processors(pthread_t thread) {
    cpu_set_t set;
    EXPECT_EQ(::pthread_getaffinity_np(thread, sizeof set, &set), 0);
    return CPU_COUNT(&set);
}

TEST(ThreadTest, OneThatStartsElsewhereKeepsOffItsMakersProcessor) {
    std::promise<void> end;
    std::jthread thread{[told = end.get_future()] { told.wait(); }};

    start_elsewhere(thread.native_handle());

    const int all = processors(::pthread_self());
    EXPECT_EQ(processors(thread.native_handle()), all > 1 ? all - 1 : all);
    run_as_caller(thread.native_handle());
    EXPECT_EQ(processors(thread.native_handle()), all);
    end.set_value();
}

TEST(ThreadTest, SignalsAreBlockedAsLongAsSomebodyHoldsThem) {
    const auto is_blocked = [] {
        sigset_t now;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
        return ::sigismember(&now, SIGTERM) == 1;
    };
    {
        const SignalsBlocked blocked;
        EXPECT_TRUE(is_blocked());
    }
    EXPECT_FALSE(is_blocked());
}

TEST(EventFdTest, DrainTellsOnceThatSomethingWasSignalled) {
    const auto event = EventFd::create();
    ASSERT_TRUE(event);

    event->signal();
    event->signal();

    EXPECT_TRUE(event->drain());
    EXPECT_FALSE(event->drain());
}

// ---- command line ---------------------------------------------------------------------------

TEST(CommandLineTest, WholeWordsCount) {
    EXPECT_TRUE(has_word("quiet nokaslr", "nokaslr"));
    EXPECT_TRUE(has_word("\tnokaslr\n", "nokaslr"));
    EXPECT_FALSE(has_word("nokaslrx", "nokaslr"));
    EXPECT_FALSE(has_word("", "nokaslr"));
}

TEST(CommandLineTest, WordsInQuotesAndWordsForInitDoNotCount) {
    EXPECT_FALSE(has_word("a=\"x nokaslr y\"", "nokaslr"));
    EXPECT_FALSE(has_word("quiet -- nokaslr", "nokaslr"));
    EXPECT_TRUE(has_word("a=\"x y\" nokaslr", "nokaslr"));
}

TEST(CommandLineTest, StartOfAWordIsNotTheMiddleOfOne) {
    EXPECT_TRUE(has_word_that_starts("quiet console=hvc0", "console="));
    EXPECT_FALSE(has_word_that_starts("netconsole=x", "console="));
    EXPECT_FALSE(has_word_that_starts("quiet -- console=x", "console="));
}

TEST(NamedDescriptorTest, NamesOfDescriptorsAreKnown) {
    EXPECT_EQ(named_descriptor("/dev/stdin"), 0);
    EXPECT_EQ(named_descriptor("/dev/stdout"), 1);
    EXPECT_EQ(named_descriptor("/dev//./stderr"), 2);
    EXPECT_EQ(named_descriptor("/dev/fd/17"), 17);
    EXPECT_EQ(named_descriptor("/proc/self/fd/5"), 5);
    EXPECT_EQ(named_descriptor(cat("/proc/", ::getpid(), "/fd/6")), 6);
}

TEST(NamedDescriptorTest, OtherFilesAreNoDescriptors) {
    for (const auto* const path : {"", "stdout", "/dev/null", "/dev/fd/", "/dev/fd/x", "/dev/fd/-1",
                                   "/dev/fd/1/x", "/dev/fd/99999999999", "/proc/1/fd/1", "/tmp"})
        EXPECT_EQ(named_descriptor(path), std::nullopt) << path;
}

TEST(NamedDescriptorTest, LinksAreFollowed) {
    std::string folder = testing::TempDir() + "namedXXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const auto link = [&](const std::string& to, const std::string& name) {
        EXPECT_EQ(::symlink(to.c_str(), cat(folder, "/", name).c_str()), 0);
    };
    link("/dev/stderr", "log");
    link("log", "to-log");
    link("loop", "loop");
    link("/dev/null", "null");

    EXPECT_EQ(named_descriptor(folder + "/to-log"), 2);
    EXPECT_EQ(named_descriptor(folder + "/loop"), std::nullopt);
    EXPECT_EQ(named_descriptor(folder + "/null"), std::nullopt);
    ASSERT_EQ(::system(("rm -r " + folder).c_str()), 0);
}

TEST(NamedDescriptorTest, OnlyWhatOutlivesAnExecCanHaveCome) {
    const int ours = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    EXPECT_TRUE(is_inherited(1));
    EXPECT_FALSE(is_inherited(ours));
    ::close(ours);
    EXPECT_FALSE(is_inherited(ours));
}

}  // namespace
}  // namespace vmm
