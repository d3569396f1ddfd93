// SPDX-License-Identifier: Apache-2.0
// A host's side of a network device that the test holds the other end of.
//
// Each channel is a socket that keeps datagrams apart: one datagram is one frame with its header in
// front. What the device sends, wire(i).take() gives; what wire(i).put() takes, the device
// receives. Threads: the wires are the test's, the rest is the device's.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "vmm/event_fd.hpp"
#include "vmm/net_backend.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::test {

struct Frame {
    FrameHeader header;
    std::string bytes;
};

/// The test's end of a channel.
class Wire {
public:
    explicit Wire(UniqueFd end) : end_{std::move(end)} {}

    /// False if there is no room.
    bool put(std::string_view bytes, FrameHeader header = {}) {
        iovec pieces[2] = {{&header, sizeof header},
                           {const_cast<char*>(bytes.data()), bytes.size()}};
        msghdr message{};
        message.msg_iov = pieces;
        message.msg_iovlen = 2;
        return ::sendmsg(end_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
    }
    /// The next frame; nothing after 20 seconds.
    std::optional<Frame> take() {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
        do {
            if (auto frame = take_now())
                return frame;
            std::this_thread::sleep_for(std::chrono::microseconds{50});
        } while (std::chrono::steady_clock::now() < end);
        return std::nullopt;
    }
    std::optional<Frame> take_now() {
        std::string buffer(FrameHeader::kSize + kMaxFrame, '\0');
        const auto got = ::recv(end_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < static_cast<ssize_t>(FrameHeader::kSize))
            return std::nullopt;
        Frame frame;
        std::memcpy(&frame.header, buffer.data(), sizeof frame.header);
        frame.bytes =
            buffer.substr(FrameHeader::kSize, static_cast<std::size_t>(got) - FrameHeader::kSize);
        return frame;
    }
    /// Nothing more will come from here; what the device sends is still taken, while it fits.
    void stop_sending() { ::shutdown(end_.get(), SHUT_WR); }
    /// The host's side goes away.
    void cut() { end_ = {}; }

private:
    UniqueFd end_;
};

class FakeNetBackend final : public NetBackend {
    class Channel final : public FrameChannel {
    public:
        Channel(FakeNetBackend& owner, UniqueFd end) : owner_{owner}, end_{std::move(end)} {}

        int fd() const noexcept override { return end_.get(); }
        FrameIo receive(std::span<const iovec> to) noexcept override {
            ++owner_.receives;
            owner_.pieces_offered = to.size();
            return move(
                to, [&](msghdr& message) { return ::recvmsg(end_.get(), &message, MSG_DONTWAIT); });
        }
        FrameIo send(std::span<const iovec> frame) noexcept override {
            ++owner_.sends;
            if (owner_.refuse_sends.load()) {
                return {.status = FrameIo::Status::Dropped};
            }
            if (owner_.keep_short.load()) {
                if (!kept_.empty() && (frame.size() != 1 || kept_.size() == kMostKept)) {
                    const auto status = send_kept();
                    if (status != FrameIo::Status::Done)
                        return {.status = status};
                }
                if (frame.size() == 1) {
                    const auto* const bytes = static_cast<const char*>(frame[0].iov_base);
                    kept_.emplace_back(bytes, frame[0].iov_len);
                    return {FrameIo::Status::Kept, frame[0].iov_len};
                }
            }
            return move(frame, [&](msghdr& message) {
                return ::sendmsg(end_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
            });
        }

        FrameIo flush() noexcept override {
            ++owner_.flushes;
            auto status = send_kept();
            if (owner_.full_once.exchange(false))
                status = FrameIo::Status::Again;
            return {.status = status, .lost = std::exchange(lost_, 0)};
        }

    private:
        static constexpr std::size_t kMostKept = 5;

        FrameIo::Status send_kept() noexcept {
            for (; !kept_.empty(); kept_.erase(kept_.begin())) {
                if (owner_.refuse_kept.load()) {
                    ++lost_;
                    continue;
                }
                const iovec whole{kept_.front().data(), kept_.front().size()};
                const FrameIo io = move({&whole, 1}, [&](msghdr& message) {
                    return ::sendmsg(end_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
                });
                if (io.status != FrameIo::Status::Done)
                    return io.status;
            }
            return FrameIo::Status::Done;
        }
        template <class Call>
        FrameIo move(std::span<const iovec> pieces, Call&& call) noexcept {
            msghdr message{};
            message.msg_iov = const_cast<iovec*>(pieces.data());
            message.msg_iovlen = pieces.size();
            const ssize_t done = call(message);
            if (done > 0)
                return {FrameIo::Status::Done, static_cast<std::size_t>(done)};
            if (done < 0 && errno == EAGAIN)
                return {FrameIo::Status::Again};
            return {FrameIo::Status::Gone};
        }

        FakeNetBackend& owner_;
        UniqueFd end_;
        std::vector<std::string> kept_;
        std::size_t lost_ = 0;
    };

public:
    explicit FakeNetBackend(std::size_t channels = 1) : link_{*EventFd::create()} {
        for (std::size_t i = 0; i < channels; ++i) {
            int ends[2];
            if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
                std::abort();
            channels_.push_back(std::make_unique<Channel>(*this, UniqueFd{ends[0]}));
            wires_.push_back(std::make_unique<Wire>(UniqueFd{ends[1]}));
        }
    }

    // The test's: set before the device is made.
    FrameOffloads can_take{true, true, true, true, true, true};
    FrameOffloads can_give{true, true, true, true, true, true};
    std::optional<std::uint16_t> host_mtu;

    // The test's, at any time.
    Wire& wire(std::size_t index) { return *wires_.at(index); }
    void set_link_up(bool up) {
        up_ = up;
        link_.signal();
    }
    std::atomic<bool> refuse_sends{false};
    std::atomic<bool> keep_short{false};   // answer Kept to frames in one piece
    std::atomic<bool> refuse_kept{false};  // and lose them
    std::atomic<bool> full_once{false};    // the next flush() says Again, whatever it did
    std::atomic<int> flushes{0};
    std::atomic<unsigned> use_takes_ms{0};  // how long use() takes
    std::atomic<unsigned> uses{0};          // calls of use() so far
    std::atomic<unsigned> activations{0};   // and of activate()
    std::atomic<int> receives{0};
    std::atomic<std::size_t> pieces_offered{0};  // of what the last receive() was given
    std::atomic<int> sends{0};
    std::atomic<std::size_t> active{0};
    FrameOffloads used() {
        const std::scoped_lock held{mutex_};
        return used_;
    }

    std::size_t channels() const noexcept override { return channels_.size(); }
    FrameChannel& channel(std::size_t index) noexcept override { return *channels_.at(index); }
    FrameOffloads takes() const noexcept override { return can_take; }
    FrameOffloads gives() const noexcept override { return can_give; }
    void use(FrameOffloads offloads) noexcept override {
        std::this_thread::sleep_for(std::chrono::milliseconds{use_takes_ms});
        const std::scoped_lock held{mutex_};
        ++uses;
        used_ = offloads;
    }
    void activate(std::size_t count) noexcept override {
        ++activations;
        active = count;
    }
    std::optional<std::uint16_t> mtu() const noexcept override { return host_mtu; }
    int link_fd() const noexcept override { return link_.fd(); }
    bool link_up() noexcept override { return up_; }
    std::string why_gone() override { return "the test cut the wire"; }

private:
    std::vector<std::unique_ptr<Channel>> channels_;
    std::vector<std::unique_ptr<Wire>> wires_;
    EventFd link_;
    std::atomic<bool> up_{true};
    std::mutex mutex_;
    FrameOffloads used_;
};

}  // namespace vmm::test
