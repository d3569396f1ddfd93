// SPDX-License-Identifier: Apache-2.0
// Writes messages to a file on a thread of its own: a file system that hangs (NFS without its
// server, a frozen disk) holds up that thread and nobody else.
//
// Messages wait in memory, kMost bytes at the most. When that is full, whoever brings one waits for
// kPatience, once until the file takes something again; then messages are dropped and counted, and
// the count is written as soon as the file takes it. On a healthy disk nothing is lost.
// When the process is dying of a signal, what waits is given kLastPatience to get out.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "vmm/error.hpp"
#include "vmm/host_stream.hpp"
#include "vmm/last_step.hpp"

namespace vmm {

/// The line that stands where messages are missing. `why` goes on after "because".
std::string lost_messages(std::uint64_t count, std::string_view why);

/// Threads: any.
class MessageWriter {
public:
    static constexpr std::size_t kMost = std::size_t{1} << 20;  ///< bytes
    static constexpr std::chrono::milliseconds kPatience{10};
    static constexpr std::chrono::milliseconds kLastPatience{200};

    /// Null if no thread can be made; `stream` is left as it was.
    static std::unique_ptr<MessageWriter> start(HostStream& stream);
    /// Without a thread before resume().
    static std::unique_ptr<MessageWriter> paused(HostStream stream);

    /// The thread ends when it has written what waits, after this if need be.
    ~MessageWriter();
    MessageWriter(const MessageWriter&) = delete;
    MessageWriter& operator=(const MessageWriter&) = delete;

    /// A message is a line, or several.
    void add(std::string_view text) noexcept;

    /// Until the file has all that was added. False if the time was over before, and at once while
    /// paused.
    bool wait(std::chrono::milliseconds at_most) noexcept;

    /// Ends the thread when it has written what waits; what comes then waits for resume(). False if
    /// the time was over before: all is as it was.
    bool pause(std::chrono::milliseconds at_most) noexcept;
    /// Makes the thread again, from the calling one.
    void resume() noexcept;

private:
    struct Shared;

    MessageWriter(std::shared_ptr<Shared> shared, std::jthread thread);
    static Result<std::jthread> make(const std::shared_ptr<Shared>& shared);
    static void linger(const void* shared) noexcept;
    static void run(const std::shared_ptr<Shared>& shared) noexcept;

    std::shared_ptr<Shared> shared_;  // with the thread, which may be stuck for longer than we live
    std::jthread thread_;             // not joinable while paused
    LastStep step_;
};

}  // namespace vmm
