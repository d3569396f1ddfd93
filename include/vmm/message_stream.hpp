// SPDX-License-Identifier: Apache-2.0
// Lines for whoever reads standard error or a log file; nobody has to read them.
//
// Nothing here waits for a reader: not the loop, not a vCPU, not an I/O thread. A message that a
// full pipe, a stopped terminal or a full disk does not take is dropped, counted, and the count is
// said as soon as there is room. A message is written whole or not at all: the rest of one that was
// begun goes before the next. A regular file always says that it is ready, and then may take for
// ever: messages for one are written by a thread of its own (vmm/message_writer.hpp).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "vmm/host_stream.hpp"
#include "vmm/message_writer.hpp"
#include "vmm/mutex.hpp"
#include "vmm/static_list.hpp"

namespace vmm {

/// Threads: any.
class MessageStream : public Listed<MessageStream> {
public:
    explicit MessageStream(HostStream stream) : stream_{std::move(stream)} { enlist(); }
    ~MessageStream() { delist(); }

    /// Makes the thread that a file needs, which else comes with the first message.
    void start_writer() noexcept;

    /// Drops `text` if it cannot be written within this time. Where it goes to a file it is kept as
    /// long as there is room; what comes after this may overtake it.
    void write(std::string_view text,
               std::chrono::milliseconds at_most = std::chrono::milliseconds{0}) noexcept;

    /// Writes what has been begun, and says how many were dropped.
    void finish(std::chrono::milliseconds at_most) noexcept;

    /// Ends the threads of all streams, so that none of them has what the main thread gives up
    /// next: messages for files wait in memory until resume_writers(). False if a thread has not
    /// ended within this time. Main thread, before others write.
    static bool pause_writers(std::chrono::milliseconds at_most) noexcept;
    /// Makes them, also those that the first message would make: it may come from a thread that is
    /// confined. Main thread.
    static void resume_writers() noexcept;

private:
    using Clock = std::chrono::steady_clock;

    std::size_t put(std::string_view text, Clock::time_point until) noexcept;
    bool catch_up(Clock::time_point until);
    MessageWriter* writer() noexcept;
    bool pause_writer(std::chrono::milliseconds at_most) noexcept;

    HostStream stream_;  // empty once it is the writer's
    RankedMutex<LockRank::MessageStream> mutex_;
    bool wants_writer_ = stream_.waits_for_storage();
    std::unique_ptr<MessageWriter> writer_;  // of a file
    std::string begun_;                      // rest of a message
    std::uint64_t dropped_ = 0;
};

/// Standard error, without changing the flags that we share with whoever started us.
MessageStream& standard_error();

/// finish() for each stream, each with this time.
void finish_messages(std::chrono::milliseconds at_most) noexcept;

}  // namespace vmm
