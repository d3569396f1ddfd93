// SPDX-License-Identifier: Apache-2.0
#include "backends/entropy/entropy_file.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "support/fake_entropy.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

constexpr const char* kAdvice =
    "\n  help: Give a random number device such as /dev/urandom or /dev/hwrng, or leave src out.\n";

std::string refusal(const std::string& path) {
    test::FakeEntropy fallback;
    const auto source = open_entropy_file(path, fallback);
    if (source)
        return "opened";
    EXPECT_EQ(source.error().kind(), ErrorKind::Config);
    return source.error().report();
}

TEST(EntropyFileTest, DeviceFillsRequestsWhole) {
    test::FakeEntropy fallback;
    const auto source = open_entropy_file("/dev/urandom", fallback);
    ASSERT_TRUE(source.has_value()) << source.error().report();
    std::array<std::byte, 64> first{};
    std::array<std::byte, 64> second{};

    (*source)->fill(first);
    (*source)->fill(second);
    (*source)->fill({});

    EXPECT_NE(first, second);
    EXPECT_EQ(fallback.bytes, 0u);
}

TEST(EntropyFileTest, LargeRequestIsFilledToItsEnd) {
    test::FakeEntropy fallback;
    const auto source = open_entropy_file("/dev/urandom", fallback);
    ASSERT_TRUE(source.has_value());
    std::vector<std::byte> bytes(1 << 20);

    (*source)->fill(bytes);

    const auto tail = std::span{bytes}.last(64);
    EXPECT_TRUE(std::ranges::any_of(tail, [](std::byte b) { return b != std::byte{0}; }));
    EXPECT_EQ(fallback.bytes, 0u);
}

TEST(EntropyFileTest, WhatIsNotThereIsRefusedWithItsName) {
    EXPECT_EQ(
        refusal("/dev/no-such-rng"),
        cat("error: random source /dev/no-such-rng: open: No such file or directory (errno 2)",
            kAdvice));
}

TEST(EntropyFileTest, DirectoryIsRefused) {
    EXPECT_EQ(refusal("/dev"), cat("error: random source /dev: not a character device", kAdvice));
}

TEST(EntropyFileTest, FileIsRefusedBecauseItsBytesAreNotRandom) {
    const auto path = std::filesystem::path{testing::TempDir()} / cat("vmm-entropy-", ::getpid());
    std::ofstream{path} << "not so random";

    EXPECT_EQ(refusal(path), cat("error: random source ", path.string(),
                                 ": a file holds the same bytes at every start", kAdvice));

    std::filesystem::remove(path);
}

TEST(EntropyFileTest, DevicesWithoutChanceAreRefused) {
    EXPECT_EQ(refusal("/dev/null"),
              cat("error: random source /dev/null: there is nothing in it", kAdvice));
    EXPECT_EQ(refusal("/dev/zero"),
              cat("error: random source /dev/zero: it gives zeroes", kAdvice));
}

// A pseudo-terminal is a character device whose other end is ours.
class SlowEntropyTest : public testing::Test {
protected:
    void SetUp() override {
        UniqueFd master{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
        ASSERT_TRUE(master);
        ASSERT_EQ(::grantpt(master.get()), 0);
        ASSERT_EQ(::unlockpt(master.get()), 0);
        path = ::ptsname(master.get());
        slave = UniqueFd{::open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)};
        ASSERT_TRUE(slave);
        termios raw{};
        ::cfmakeraw(&raw);
        ASSERT_EQ(::tcsetattr(slave.get(), TCSANOW, &raw), 0);
        other_end = std::move(master);
        source = std::move(open_entropy_file(path, fallback).value());
    }

    test::FakeEntropy fallback;
    std::string path;
    UniqueFd slave;
    UniqueFd other_end;
    std::unique_ptr<EntropySource> source;
};

TEST_F(SlowEntropyTest, WhatIsMissingComesFromTheFallback) {
    ASSERT_EQ(::write(other_end.get(), "abc", 3), 3);
    std::array<std::byte, 6> out{};

    source->fill(out);

    const std::array expected{std::byte{'a'}, std::byte{'b'}, std::byte{'c'},
                              std::byte{1},   std::byte{2},   std::byte{3}};
    EXPECT_EQ(out, expected);
}

TEST_F(SlowEntropyTest, WaitingEndsWhenPatienceDoes) {
    std::array<std::byte, 6> out{};
    const auto start = std::chrono::steady_clock::now();

    source->fill(out);

    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_GE(took, kEntropyPatience);
    EXPECT_LT(took, std::chrono::seconds{10});
    EXPECT_EQ(fallback.bytes, 6u);
}

// A guest may ask for a byte at a time, a thousand times in a request.
TEST_F(SlowEntropyTest, PatienceIsForManyRequestsTogether) {
    const auto start = std::chrono::steady_clock::now();
    std::array<std::byte, 1> out{};

    for (int i = 0; i < 200; ++i)
        source->fill(out);

    EXPECT_LT(std::chrono::steady_clock::now() - start, 100 * kEntropyPatience);
    EXPECT_EQ(fallback.bytes, 200u);

    ASSERT_EQ(::write(other_end.get(), "x", 1), 1);
    std::this_thread::sleep_for(kEntropyWindow + kEntropyPatience);
    source->fill(out);
    EXPECT_EQ(out[0], std::byte{'x'});
}

TEST_F(SlowEntropyTest, DeviceThatWentAwayIsReplaced) {
    slave = {};
    other_end = {};
    std::array<std::byte, 6> out{};

    source->fill(out);

    EXPECT_EQ(fallback.bytes, 6u);
}

}  // namespace
}  // namespace vmm
