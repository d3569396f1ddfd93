// SPDX-License-Identifier: Apache-2.0
#include "backends/net/frame_stream.hpp"

#include <sys/socket.h>

#include <array>
#include <string>

namespace vmm {
namespace {

using namespace std::string_literals;
using Status = FrameIo::Status;

struct FrameStreamTest : testing::Test {
    FrameStreamTest() : FrameStreamTest{make_pair()} {}

    std::string receive_now(Status expected = Status::Done) {
        std::string room(FrameHeader::kSize + kMaxFrame, '#');
        // In two pieces, the first of which ends within the header.
        const std::array<iovec, 2> to{iovec{room.data(), 5}, {room.data() + 5, room.size() - 5}};
        const FrameIo io = stream.receive(to);
        EXPECT_EQ(io.status, expected);
        return room.substr(0, io.bytes);
    }
    FrameIo send(std::string bytes) {
        FrameHeader header{.flags = 1};
        const std::array<iovec, 3> frame{
            iovec{&header, sizeof header}, {bytes.data(), 3}, {bytes.data() + 3, bytes.size() - 3}};
        return stream.send(frame);
    }
    void say(std::string_view bytes) {
        ASSERT_EQ(::send(peer.get(), bytes.data(), bytes.size(), 0),
                  static_cast<ssize_t>(bytes.size()));
    }
    std::string hear(std::size_t bytes) {
        std::string got(bytes, '\0');
        const ssize_t count = ::recv(peer.get(), got.data(), bytes, MSG_WAITALL);
        got.resize(static_cast<std::size_t>(count < 0 ? 0 : count));
        return got;
    }

    UniqueFd peer;
    FrameStream stream;

private:
    struct Two {
        UniqueFd first;
        UniqueFd second;
    };
    explicit FrameStreamTest(Two ends)
        : peer{std::move(ends.first)}, stream{std::move(ends.second)} {}
    static Two make_pair() {
        int ends[2] = {-1, -1};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
    }
};

const std::string kFrame(20, 'f');
const std::string kNoHeader(12, '\0');

TEST_F(FrameStreamTest, FrameGoesOutBehindItsLength) {
    const FrameIo io = send(kFrame);
    EXPECT_EQ(io.status, Status::Done);
    EXPECT_EQ(io.bytes, 32u);
    EXPECT_EQ(hear(24), "\0\0\0\x14"s + kFrame);
}

TEST_F(FrameStreamTest, HeaderAndFrameMayBeOnePiece) {
    std::string both = std::string(12, 'h') + kFrame;
    const iovec whole{both.data(), both.size()};

    const FrameIo io = stream.send({&whole, 1});

    EXPECT_EQ(io.status, Status::Done);
    EXPECT_EQ(io.bytes, 32u);
    EXPECT_EQ(hear(24), "\0\0\0\x14"s + kFrame);
}

TEST_F(FrameStreamTest, FrameComesWithAnEmptyHeader) {
    say("\0\0\0\x14"s + kFrame);
    EXPECT_EQ(receive_now(), kNoHeader + kFrame);
    EXPECT_EQ(receive_now(Status::Again), "");
}

TEST_F(FrameStreamTest, FramesOfOneReadAreKeptApart) {
    say("\0\0\0\x14"s + kFrame + "\0\0\0\x0e"s + std::string(14, 'g') + "\0\0"s);
    EXPECT_EQ(receive_now(), kNoHeader + kFrame);
    EXPECT_EQ(receive_now(), kNoHeader + std::string(14, 'g'));
    EXPECT_EQ(receive_now(Status::Again), "");
}

TEST_F(FrameStreamTest, FrameThatComesByteByByteIsWhole) {
    const std::string all = "\0\0\0\x14"s + kFrame;
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
        say(all.substr(i, 1));
        EXPECT_EQ(receive_now(Status::Again), "") << i;
    }
    say(all.substr(all.size() - 1));
    EXPECT_EQ(receive_now(), kNoHeader + kFrame);
}

TEST_F(FrameStreamTest, ManyLargeFramesPassThroughTheBuffer) {
    for (std::size_t i = 0; i < 50; ++i) {
        const std::size_t size = 60000 + 100 * i % kMaxFrame;
        std::string bytes(size, static_cast<char>('a' + i % 26));
        const auto length = static_cast<std::uint32_t>(size);
        for (const int shift : {24, 16, 8, 0}) {
            const char byte = static_cast<char>(length >> shift);
            say({&byte, 1});
        }
        say(bytes);
        EXPECT_EQ(receive_now(), kNoHeader + bytes) << i;
    }
}

TEST_F(FrameStreamTest, RuntIsDroppedAndTheNextArrives) {
    say("\0\0\0\x01x\0\0\0\0\0\0\0\x14"s + kFrame);
    EXPECT_EQ(receive_now(Status::Dropped), "");
    EXPECT_EQ(receive_now(Status::Dropped), "");
    EXPECT_EQ(receive_now(), kNoHeader + kFrame);
}

TEST_F(FrameStreamTest, LengthBeyondAnyFrameEndsTheChannel) {
    say("\x01\0\0\0xxxx"s);
    EXPECT_EQ(receive_now(Status::Gone), "");
    EXPECT_EQ(receive_now(Status::Gone), "");
}

TEST_F(FrameStreamTest, EndOfTheStreamComesAfterItsFrames) {
    say("\0\0\0\x14"s + kFrame + "\0\0"s);
    peer = {};
    EXPECT_EQ(receive_now(), kNoHeader + kFrame);
    EXPECT_EQ(receive_now(Status::Gone), "");
    EXPECT_EQ(send(kFrame).status, Status::Gone);
}

TEST_F(FrameStreamTest, FrameThatFitsInPartIsFinishedLater) {
    const int small = 1;  // the kernel rounds up
    ::setsockopt(stream.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    const std::string large(60000, 'l');
    const FrameIo io = send(large);
    ASSERT_EQ(io.status, Status::Filled);
    EXPECT_EQ(io.bytes, 60012u);
    EXPECT_EQ(stream.flush().status, Status::Again);
    EXPECT_EQ(send(kFrame).status, Status::Again);

    std::string got;
    while (stream.flush().status == Status::Again)
        got += hear(100);
    EXPECT_EQ(stream.flush().status, Status::Done);
    got += hear(60004 - got.size());

    EXPECT_EQ(got, "\0\0\xea\x60"s + large);
    EXPECT_EQ(send(kFrame).status, Status::Done);
    EXPECT_EQ(hear(24), "\0\0\0\x14"s + kFrame);
}

}  // namespace
}  // namespace vmm
