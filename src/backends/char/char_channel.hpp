// SPDX-License-Identifier: Apache-2.0
// What all character backends share: the buffer, the waiting, and one place in the machine's loop.
//
// A private epoll descriptor watches the two ends, so that the loop sees one descriptor and nothing
// is ever set on a descriptor that others share.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "backends/char/byte_ring.hpp"
#include "backends/char/char_backend.hpp"
#include "backends/char/loop_hook.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/host_stream.hpp"
#include "vmm/mutex.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

class CharChannel : public CharBackend {
public:
    /// The descriptors a channel is made of; making them is what can fail.
    struct Parts {
        EventFd wake;
        UniqueFd timer;
        UniqueFd epoll;

        static Result<Parts> create();
    };

    /// Where the bytes go.
    enum class Output : std::uint8_t {
        Buffered,  ///< written by the loop only
        Direct,    ///< the thread that sends them writes the first byte after a pause, and lines
        Nowhere,   ///< swallowed, and that is what was asked for
    };

    CharChannel(boost::asio::io_context& loop, Parts parts, const CharBackendConfig& config,
                std::string place, Output output);
    ~CharChannel() override;

    std::size_t write(std::span<const std::byte> bytes) noexcept final;
    void count_lost(std::size_t bytes) noexcept final;
    void resume_input() noexcept final;

    void attach(ByteChannelUser& user, Mutex& lock) noexcept override;
    void detach() noexcept override;
    bool push() noexcept final;
    bool has_reader() const noexcept final;
    LostOutput drain(std::chrono::milliseconds limit) noexcept final;
    const std::string& place() const noexcept final { return place_; }
    std::optional<TerminalSize> terminal_size() const noexcept override { return std::nullopt; }

    /// Before attach(): what the channel reads and writes. An empty stream is nobody.
    void set_input(HostStream stream) noexcept;
    void set_output(HostStream stream) noexcept;

protected:
    /// Takes out what is not for the guest; what stays is at the front.
    virtual std::size_t filter_input(std::span<std::byte> bytes) noexcept { return bytes.size(); }
    virtual bool may_read() const noexcept { return true; }
    /// Input waits, because we may not read it or because the user has no room for what was read.
    virtual void input_waits() noexcept {}
    virtual void input_ended() noexcept { set_input({}); }
    /// The other end hung up; there may still be input in between.
    virtual void peer_left() noexcept {}
    virtual void output_ended(int error) noexcept { lose_output(error); }
    /// The eventfd was signalled: for signals that a terminal brought.
    virtual void woken() noexcept {}
    /// The descriptor given to watch() is readable.
    virtual void watched_ready() noexcept {}
    /// Bytes that were written but that nobody has read yet and that will be lost when we go.
    virtual std::size_t unread_output() const noexcept { return 0; }
    /// Takes them back, for good: how many they were.
    virtual std::size_t take_back_unread() noexcept { return 0; }

    /// Says once when `fd` is readable; to be called again for the next time. What cannot be dealt
    /// with now (no descriptor for a client) therefore does not keep the loop awake.
    void watch(int fd) noexcept;
    const EventFd& wake() const noexcept { return wake_; }
    const std::string& name() const noexcept { return name_; }
    HostStream& output() noexcept { return out_; }
    const HostStream& output() const noexcept { return out_; }
    /// Whether the user has taken any input since this was asked last, or there is room for more.
    bool input_moves() noexcept {
        return std::exchange(input_taken_, false) || input_used_ < kInputSize;
    }
    void read_input() noexcept;
    /// Reads what has no room, for filter_input() to see it; it is lost to the user.
    void read_past_input() noexcept;
    void continue_input() noexcept { wait_for_input(); }

private:
    using SteadyClock = std::chrono::steady_clock;
    static constexpr std::size_t kInputSize = 4096;  // bytes
    /// Bytes that follow each other faster than this are written together. Below what a user at a
    /// terminal can see, and a thousand times what one system call costs.
    static constexpr std::chrono::milliseconds kTogether{1};

    enum class Event : std::uint8_t { Wake, Timer, Input, Output, Watched };

    void dispatch() noexcept;
    void dispatch_one(Event event, std::uint32_t flags) noexcept;

    void flush() noexcept;
    std::span<const std::byte> claim() noexcept;
    void release(std::size_t written, bool blocked) noexcept;
    void wait_for_output() noexcept;
    void lose_output(int error) noexcept;
    void lose_buffered(int error) noexcept;
    void lose_waiting(std::unique_lock<Mutex>& lock, int error) noexcept;
    void count_lost_locked(std::size_t bytes, int error) noexcept;
    void tell_room() noexcept;
    void see_reader() noexcept;
    void start_timer(std::chrono::nanoseconds after) noexcept;
    void write_here(std::unique_lock<Mutex>& lock) noexcept;
    void see_to_it() noexcept;
    bool recently() const noexcept { return SteadyClock::now() - last_write_ < kTogether; }
    std::size_t swallow(std::span<const std::byte> bytes) noexcept;
    bool drained() const noexcept;

    void offer_input() noexcept;
    void wait_for_input() noexcept;
    bool arm(int fd, Event event, std::uint32_t flags) noexcept;
    void disarm(const HostStream& stream) noexcept;

    const std::string name_;
    const std::string place_;
    const bool direct_;
    const std::chrono::milliseconds patience_;
    EventFd wake_;
    UniqueFd timer_;
    int epoll_;  // the hook owns it
    HostStream in_;
    HostStream out_;

    // The loop's thread only.
    ByteChannelUser* user_ = nullptr;
    Mutex* user_lock_ = nullptr;
    std::unique_ptr<std::byte[]> input_;  // read from the host, not yet taken by the user
    std::size_t input_used_ = 0;          // bytes, at most kInputSize
    bool input_taken_ = false;            // some of it, since input_moves()
    bool input_blocked_ = false;          // the user took less than all and has not asked for more
    bool read_again_ = false;  // the input cannot be waited for (a file): go on next time
    bool told_full_ = false;   // said once that the file takes no more

    std::atomic<bool> resume_asked_{false};

    // For all that follows; never held across a system call that writes.
    mutable RankedMutex<LockRank::ConsoleOutput> lock_;
    ByteRing ring_;
    SteadyClock::time_point last_write_;
    LostOutput lost_;
    int swallow_error_ = 0;    // why
    bool swallow_ = false;     // output goes nowhere
    bool count_lost_ = true;   // and that is not what was asked for
    bool dropping_ = false;    // nobody has read for too long; until somebody does
    bool told_drops_ = false;  // said once that somebody reads again, and what was lost
    bool writing_ = false;     // somebody is writing the front of the ring
    bool blocked_ = false;     // the other end took less than all: the loop waits for it
    bool awake_ = false;       // the loop will come and look: no need to tell it
    bool hurried_ = false;     // it was told to come before its time
    bool starved_ = false;     // the user waits for on_room()
    SteadyClock::time_point starved_since_;

    LoopHook hook_;  // last: nothing is called before all is there, or after some of it is gone
};

}  // namespace vmm
