// SPDX-License-Identifier: Apache-2.0
#include "vmm/message_writer.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "vmm/mutex.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm {
namespace {

std::uint64_t lines_of(std::string_view text) {
    return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
}

}  // namespace

std::string lost_messages(std::uint64_t count, std::string_view why) {
    return cat("vmm: ", count, count == 1 ? " message was" : " messages were",
               " lost here, because ", why, "\n");
}

// With linkage, as Shared has it, which the header names.

/// The thread's side: a file, and what it has not taken.
class LineFile {
public:
    explicit LineFile(HostStream stream) : stream_{std::move(stream)} {}

    /// Lines; those that the file does not take are lost, but for the rest of one that was begun.
    void write(std::string_view text) {
        const std::size_t done = finish_line() && write_count() ? advance(text) : 0;
        auto rest = text.substr(done);
        if (done > 0 && text[done - 1] != '\n') {
            begun_ = rest.substr(0, rest.find('\n'));
            begun_ += '\n';
            rest.remove_prefix(std::min(begun_.size(), rest.size()));
        }
        lost_ += lines_of(rest);
    }
    void count_lost(std::uint64_t messages) {
        lost_ += messages;
        if (finish_line())
            write_count();
    }
    HostStream stream() && { return std::move(stream_); }

private:
    bool finish_line() {
        begun_.erase(0, advance(begun_));
        return begun_.empty();
    }
    bool write_count() {
        if (lost_ == 0)
            return true;
        const auto note = lost_messages(lost_, "the file could not be written");
        const std::size_t done = advance(note);
        if (done == 0)
            return false;
        lost_ = 0;
        begun_ = note.substr(done);
        return begun_.empty();
    }
    /// How much of it was written.
    std::size_t advance(std::string_view text) noexcept {
        std::size_t done = 0;
        while (done < text.size()) {
            const auto moved = stream_.write(std::as_bytes(std::span{text.substr(done)}));
            if (moved.bytes == 0)
                break;
            done += moved.bytes;
        }
        return done;
    }

    HostStream stream_;
    std::string begun_;
    std::uint64_t lost_ = 0;
};

namespace {

void write_out(LineFile& file, std::string_view text, std::uint64_t dropped) noexcept {
    try {
        file.write(text);
        if (dropped > 0)
            file.count_lost(dropped);
    } catch (...) {  // no memory for a note: less is said
        return;
    }
}

}  // namespace

struct MessageWriter::Shared {
    explicit Shared(HostStream stream) : file{std::move(stream)} {}

    RankedMutex<LockRank::MessageWriter> mutex;
    ConditionVariable brought;  // to the thread: there is something
    ConditionVariable taken;    // from the thread: there is room, or all is written
    std::string waiting;
    std::uint64_t dropped = 0;  // messages that came after `waiting`, which was full
    bool stuck = false;         // a wait for room timed out, and none was made since
    bool quit = false;
    bool paused = false;              // there is no thread
    bool ended = false;               // the thread is about to return, because it shall
    std::atomic<bool> settled{true};  // the file has all that was added; read by a signal handler
    LineFile file;                    // the thread's
};

MessageWriter::MessageWriter(std::shared_ptr<Shared> shared, std::jthread thread)
    : shared_{std::move(shared)}, thread_{std::move(thread)}, step_{linger, shared_.get()} {}

Result<std::jthread> MessageWriter::make(const std::shared_ptr<Shared>& shared) {
    return make_thread({.kind = ThreadKind::Helper, .name = "log", .logged = false},
                       [shared]() noexcept { run(shared); });
}

std::unique_ptr<MessageWriter> MessageWriter::start(HostStream& stream) {
    auto shared = std::make_shared<Shared>(std::move(stream));
    auto thread = make(shared);
    if (!thread) {
        stream = std::move(shared->file).stream();
        return nullptr;
    }
    return std::unique_ptr<MessageWriter>{new MessageWriter{std::move(shared), std::move(*thread)}};
}

std::unique_ptr<MessageWriter> MessageWriter::paused(HostStream stream) {
    auto shared = std::make_shared<Shared>(std::move(stream));
    shared->paused = true;
    return std::unique_ptr<MessageWriter>{new MessageWriter{std::move(shared), {}}};
}

MessageWriter::~MessageWriter() {
    {
        const std::scoped_lock held{shared_->mutex};
        shared_->quit = true;
        shared_->brought.notify_one();
    }
    if (thread_.joinable())
        thread_.detach();
}

bool MessageWriter::pause(std::chrono::milliseconds at_most) noexcept {
    if (!thread_.joinable())
        return true;
    {
        std::unique_lock held{shared_->mutex};
        shared_->quit = true;
        shared_->brought.notify_one();
        if (!shared_->taken.wait_for(held, at_most, [&] { return shared_->ended; })) {
            shared_->quit = false;
            return false;
        }
        shared_->quit = shared_->ended = false;
        shared_->paused = true;
    }
    thread_.join();
    return true;
}

// Without a thread messages wait, and are dropped and counted when there is no more room.
void MessageWriter::resume() noexcept {
    if (thread_.joinable())
        return;
    try {
        auto thread = make(shared_);
        if (!thread)
            return;
        thread_ = std::move(*thread);
        const std::scoped_lock held{shared_->mutex};
        shared_->paused = false;
    } catch (...) {  // no memory
        return;
    }
}

void MessageWriter::add(std::string_view text) noexcept {
    try {
        std::unique_lock held{shared_->mutex};
        const auto room = [&] { return shared_->waiting.size() + text.size() <= kMost; };
        if (!room() && !shared_->stuck)
            shared_->stuck = !shared_->taken.wait_for(held, kPatience, room);
        if (!room()) {
            ++shared_->dropped;
            return;
        }
        shared_->waiting += text;
        shared_->settled = false;
        shared_->brought.notify_one();
    } catch (...) {  // no memory: a message must not stop a machine
        return;
    }
}

bool MessageWriter::wait(std::chrono::milliseconds at_most) noexcept {
    std::unique_lock held{shared_->mutex};
    if (!shared_->paused)
        shared_->taken.wait_for(held, at_most, [&] { return shared_->settled.load(); });
    return shared_->settled;
}

void MessageWriter::run(const std::shared_ptr<Shared>& shared) noexcept {
    std::string text;
    std::unique_lock held{shared->mutex};
    while (true) {
        shared->brought.wait(held, [&] { return shared->quit || !shared->waiting.empty(); });
        if (shared->waiting.empty()) {
            shared->ended = true;
            shared->taken.notify_all();
            return;
        }
        text.clear();
        std::swap(text, shared->waiting);
        const auto dropped = std::exchange(shared->dropped, 0);
        held.unlock();
        write_out(shared->file, text, dropped);
        held.lock();
        shared->stuck = false;
        shared->settled = shared->waiting.empty();
        shared->taken.notify_all();
    }
}

// In a signal handler: the thread goes on writing while we sleep.
void MessageWriter::linger(const void* shared) noexcept {
    constexpr long kNap = 1'000'000;  // nanoseconds
    const auto& settled = static_cast<const Shared*>(shared)->settled;
    for (auto left = kLastPatience; !settled && left.count() > 0;
         left -= std::chrono::milliseconds{1}) {
        const timespec nap{.tv_sec = 0, .tv_nsec = kNap};
        ::nanosleep(&nap, nullptr);
    }
}

}  // namespace vmm
