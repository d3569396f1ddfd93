// SPDX-License-Identifier: Apache-2.0
// The output half of a character channel: a buffer, who empties it and when, and what happens to
// bytes that nobody reads (char_backend.hpp has the rules).
//
// Threads: write() and count_lost() from any, one at a time; all else from the loop's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>

#include "backends/char/byte_ring.hpp"
#include "backends/char/channel_events.hpp"
#include "backends/char/char_backend.hpp"
#include "vmm/byte_channel.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/host_stream.hpp"
#include "vmm/mutex.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

/// Who has the channel, and decides what it means that the other end is gone.
class ChannelOutputOwner {
public:
    virtual ~ChannelOutputOwner() = default;
    virtual void output_ended(int error) noexcept = 0;
    /// Takes back, for good, what was written and nobody has read: how many bytes that were.
    virtual std::size_t take_back_unread() noexcept = 0;
};

class ChannelOutput {
public:
    /// Where the bytes go.
    enum class Mode : std::uint8_t {
        Buffered,  ///< written by the loop only
        Direct,    ///< the thread that sends them writes the first byte after a pause, and lines
        Nowhere,   ///< swallowed, and that is what was asked for
    };

    struct Names {
        std::string name;   ///< whose output it is
        std::string place;  ///< where it goes; empty: standard output
    };

    /// `wake` and `events` make the loop call flush(), as does `timer`. All outlive this.
    ChannelOutput(Names names, Mode mode, std::chrono::milliseconds patience, const EventFd& wake,
                  UniqueFd timer, ChannelEvents events, ChannelOutputOwner& owner);

    const std::string& name() const noexcept { return names_.name; }
    const std::string& place() const noexcept { return names_.place; }

    std::size_t write(std::span<const std::byte> bytes) noexcept;
    void count_lost(std::size_t bytes) noexcept;

    /// Whoever is told that there is room, with `lock` held.
    void attach(ByteChannelUser& user, Mutex& lock) noexcept;
    void detach() noexcept;

    /// An empty stream is nobody: output waits.
    void set(HostStream stream) noexcept;
    HostStream& stream() noexcept { return out_; }
    const HostStream& stream() const noexcept { return out_; }

    /// Writes what can be written, and looks whether there is something to tell.
    void flush() noexcept;
    /// Output is lost from now on. `error` is errno, or 0: nobody takes it.
    void lose(int error) noexcept;

    bool drained() const noexcept;
    bool has_reader() const noexcept;

    /// For the end: writes until `end` at most, while there is somebody to write to.
    void write_until(std::chrono::steady_clock::time_point end) noexcept;
    /// All that was lost, with what is still here and what the owner takes back.
    LostOutput give_up() noexcept;

private:
    using SteadyClock = std::chrono::steady_clock;
    /// Bytes that follow each other faster than this are written together. Below what a user at a
    /// terminal can see, and a thousand times what one system call costs.
    static constexpr std::chrono::milliseconds kTogether{1};

    std::span<const std::byte> claim() noexcept;
    void release(std::size_t written, bool blocked) noexcept;
    void wait_for_output() noexcept;
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

    const Names names_;
    const bool direct_;
    const std::chrono::milliseconds patience_;
    const EventFd& wake_;
    UniqueFd timer_;
    ChannelEvents events_;
    ChannelOutputOwner& owner_;
    HostStream out_;

    // The loop's thread only.
    ByteChannelUser* user_ = nullptr;
    Mutex* user_lock_ = nullptr;
    bool told_full_ = false;  // said once that the file takes no more

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
};

}  // namespace vmm
