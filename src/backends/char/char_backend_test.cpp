// SPDX-License-Identifier: Apache-2.0
#include "backends/char/char_backend.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "backends/char/char_test_support.hpp"
#include "vmm/mutex.hpp"

namespace vmm {
namespace {

using namespace std::chrono_literals;
using test::kBuffer;

// ---- null

struct NullBackendTest : test::BackendTest {};

TEST_F(NullBackendTest, TakesEverythingAndLosesNothing) {
    make(CharMode::Null);

    EXPECT_EQ(send(std::string(3 * kBuffer, 'x')), 3 * kBuffer);
    EXPECT_EQ(backend->drain(1s), LostOutput{});
}

// ---- threads: one sends, the loop writes, a third reads

struct BackendThreadsTest : test::BackendTest {};

/// A user that sends a count as fast as the backend takes it, like a serial port: it waits for
/// on_room() when the backend took less than all.
struct Sender final : ByteChannelUser {
    ByteSink* sink = nullptr;
    RankedMutex<LockRank::Device> lock;
    std::atomic<bool> room{true};

    std::size_t receive(std::span<const std::byte> bytes) noexcept override { return bytes.size(); }
    void on_room() noexcept override { room = true; }

    void run(std::string_view text) {
        while (!text.empty()) {
            while (!room)
                std::this_thread::yield();
            const std::lock_guard guard{lock};
            const auto piece = text.substr(0, std::min<std::size_t>(text.find('\n'), 6) + 1);
            const std::size_t taken = sink->write(std::as_bytes(std::span{piece}));
            if (taken < piece.size())
                room = false;
            text.remove_prefix(taken);
        }
    }
};

std::string numbers(std::size_t size) {
    std::string text;
    for (int i = 0; text.size() < size; ++i)
        text += std::to_string(i) + (i % 50 == 0 ? '\n' : ' ');
    return text;
}

TEST_F(BackendThreadsTest, SlowReaderOfAPipeGetsEveryByteInOrder) {
    test::Pipe pipe;
    test::Pipe input;
    make_tty(input.in.get(), pipe.out.get());
    pipe.out = UniqueFd{};
    Sender sender;
    sender.sink = backend.get();
    backend->attach(sender, sender.lock);
    const std::string text = numbers(300'000);
    std::atomic<bool> sent{false};
    std::string seen;

    std::thread vcpu{[&] {
        sender.run(text);
        sent = true;
    }};
    std::thread reader{[&] {
        while (seen.size() < text.size()) {
            seen += test::read_all(pipe.in.get(), 2000ms, 1);
            std::this_thread::sleep_for(1ms);
        }
    }};
    EXPECT_TRUE(turn_until([&] { return sent.load(); }));
    vcpu.join();
    EXPECT_EQ(backend->drain(5s), LostOutput{});
    reader.join();

    EXPECT_EQ(seen, text);
}

// The I/O threads of devices still write when the machine ends.
TEST_F(BackendThreadsTest, DrainBesideAWriterLosesNoCount) {
    test::Pipe pipe;
    test::Pipe input;
    make_tty(input.in.get(), pipe.out.get());
    pipe.out = UniqueFd{};
    constexpr std::size_t kLines = 100'000;
    std::atomic<std::size_t> taken{0};
    std::atomic<bool> sent{false};
    std::size_t seen = 0;

    std::thread writer{[&] {
        for (std::size_t i = 0; i < kLines; ++i)
            taken += send("line\n");
        sent = true;
    }};
    std::thread reader{[&] { seen = test::read_all(pipe.in.get(), 5000ms).size(); }};
    while (!sent)
        backend->drain(0ms);
    writer.join();
    const std::uint64_t lost = unread(5s);
    backend.reset();
    reader.join();

    EXPECT_EQ(seen + lost, taken.load());
}

TEST_F(BackendThreadsTest, ResumeFromAnotherThreadBringsTheRestOfTheInput) {
    test::Pipe output;
    test::Pipe input;
    make_tty(input.in.get(), output.out.get());
    user.room = 3;
    attach();
    test::write_text(input.out.get(), "abcdef");
    ASSERT_TRUE(turn_until([&] { return user.seen.size() == 3; }));

    std::thread vcpu{[&] {
        const std::lock_guard lock{user.lock};
        user.room = 3;
        backend->resume_input();
    }};

    EXPECT_TRUE(turn_until([&] {
        const std::lock_guard lock{user.lock};
        return user.seen == "abcdef";
    }));
    vcpu.join();
}

}  // namespace
}  // namespace vmm
