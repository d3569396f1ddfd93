// SPDX-License-Identifier: Apache-2.0
// What all character backends share: an output half, an input half, and one place in the machine's
// loop. The backends say what the two ends are, and what it means that one is gone.
//
// A private epoll descriptor watches the two ends, so that the loop sees one descriptor and nothing
// is ever set on a descriptor that others share.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "backends/char/channel_events.hpp"
#include "backends/char/channel_input.hpp"
#include "backends/char/channel_output.hpp"
#include "backends/char/char_backend.hpp"
#include "backends/char/loop_hook.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/host_stream.hpp"
#include "vmm/mutex.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

class CharChannel : public CharBackend, private ChannelOutputOwner, private ChannelInputOwner {
public:
    /// The descriptors a channel is made of; making them is what can fail.
    struct Parts {
        EventFd wake;
        UniqueFd timer;
        UniqueFd epoll;

        static Result<Parts> create();
    };

    using Output = ChannelOutput::Mode;

    CharChannel(boost::asio::io_context& loop, Parts parts, const CharBackendConfig& config,
                std::string place, Output output);
    ~CharChannel() override;

    std::size_t write(std::span<const std::byte> bytes) noexcept final {
        return output_.write(bytes);
    }
    void count_lost(std::size_t bytes) noexcept final { output_.count_lost(bytes); }
    void resume_input() noexcept final { input_.resume(); }

    void attach(ByteChannelUser& user, Mutex& lock) noexcept override;
    void detach() noexcept override;
    bool push() noexcept final;
    bool has_reader() const noexcept final { return output_.has_reader(); }
    LostOutput drain(std::chrono::milliseconds limit) noexcept final;
    const std::string& place() const noexcept final { return output_.place(); }
    std::optional<TerminalSize> terminal_size() const noexcept override { return std::nullopt; }

    /// Before attach(): what the channel reads and writes. An empty stream is nobody.
    void set_input(HostStream stream) noexcept { input_.set(std::move(stream)); }
    void set_output(HostStream stream) noexcept { output_.set(std::move(stream)); }

protected:
    std::size_t filter_input(std::span<std::byte> bytes) noexcept override { return bytes.size(); }
    bool may_read() const noexcept override { return true; }
    void input_waits() noexcept override {}
    void input_ended() noexcept override { set_input({}); }
    void output_ended(int error) noexcept override { output_.lose(error); }
    /// The other end hung up; there may still be input in between.
    virtual void peer_left() noexcept {}
    /// The eventfd was signalled: for signals that a terminal brought.
    virtual void woken() noexcept {}
    /// The descriptor given to watch() is readable.
    virtual void watched_ready() noexcept {}
    /// Bytes that were written but that nobody has read yet and that will be lost when we go.
    virtual std::size_t unread_output() const noexcept { return 0; }
    std::size_t take_back_unread() noexcept override { return 0; }

    /// Says once when `fd` is readable; to be called again for the next time. What cannot be dealt
    /// with now (no descriptor for a client) therefore does not keep the loop awake.
    void watch(int fd) noexcept;
    const EventFd& wake() const noexcept { return wake_; }
    const std::string& name() const noexcept { return output_.name(); }
    HostStream& output() noexcept { return output_.stream(); }
    const HostStream& output() const noexcept { return output_.stream(); }
    ChannelInput& input() noexcept { return input_; }

private:
    void dispatch() noexcept;
    void dispatch_one(ChannelEvent event, std::uint32_t flags) noexcept;

    EventFd wake_;
    ChannelEvents events_;  // the hook owns the descriptor
    ChannelOutput output_;
    ChannelInput input_;
    LoopHook hook_;  // last: nothing is called before all is there, or after some of it is gone
};

}  // namespace vmm
