// SPDX-License-Identifier: Apache-2.0
// The input half of a character channel: what was read from the host and the user has yet to take.
//
// No more than one buffer is read ahead: what the user has no room for stays with the host, or the
// owner throws it away (a terminal does, to see its keys).
// Threads: resume() from any; all else from the loop's.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "backends/char/channel_events.hpp"
#include "vmm/byte_channel.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/host_stream.hpp"
#include "vmm/mutex.hpp"

namespace vmm {

/// Who has the channel. Called from read() and from whatever makes input wait.
class ChannelInputOwner {
public:
    virtual ~ChannelInputOwner() = default;

    /// Takes out what is not for the guest; what stays is at the front.
    virtual std::size_t filter_input(std::span<std::byte> bytes) noexcept = 0;
    virtual bool may_read() const noexcept = 0;
    /// Input waits, because we may not read it or because the user has no room for what was read.
    virtual void input_waits() noexcept = 0;
    virtual void input_ended() noexcept = 0;
};

class ChannelInput {
public:
    static constexpr std::size_t kSize = 4096;  // bytes

    /// `wake` makes the loop call woken(), `events` read(). All outlive this.
    ChannelInput(const EventFd& wake, ChannelEvents events, ChannelInputOwner& owner);

    /// The user has room again.
    void resume() noexcept;

    /// From then on input is read and offered to `user`, with `lock` held.
    void attach(ByteChannelUser& user, Mutex& lock) noexcept;
    void detach() noexcept;

    /// An empty stream is nobody.
    void set(HostStream stream) noexcept;

    void read() noexcept;
    /// Reads what has no room, for filter_input() to see it; it is lost to the user.
    void read_past() noexcept;
    /// Offers what was read if the user has asked for it, and goes on with a file.
    void woken() noexcept;
    /// Until there is something to read.
    void wait() noexcept;

    /// Whether the user has taken any since this was asked last, or there is room for more.
    bool moves() noexcept { return std::exchange(taken_, false) || used_ < kSize; }

private:
    void offer() noexcept;

    const EventFd& wake_;
    ChannelEvents events_;
    ChannelInputOwner& owner_;
    HostStream in_;
    ByteChannelUser* user_ = nullptr;
    Mutex* user_lock_ = nullptr;
    std::unique_ptr<std::byte[]> bytes_;  // read from the host, not yet taken by the user
    std::size_t used_ = 0;                // bytes, at most kSize
    bool taken_ = false;                  // some of it, since moves()
    bool blocked_ = false;                // the user took less than all and has not asked for more
    bool read_again_ = false;  // the input cannot be waited for (a file): go on next time

    std::atomic<bool> resume_asked_{false};
};

}  // namespace vmm
