// SPDX-License-Identifier: Apache-2.0
#include "vmm/message_stream.hpp"

#include <poll.h>
#include <unistd.h>

#include <span>
#include <utility>

namespace vmm {
namespace {

using std::chrono::milliseconds;

}  // namespace

// How much of it was written. What no one can read any more counts as written.
std::size_t MessageStream::put(std::string_view text, Clock::time_point until) noexcept {
    std::size_t done = 0;
    while (done < text.size()) {
        const auto rest = std::as_bytes(std::span{text.substr(done)});
        const auto moved = stream_.write(rest);
        done += moved.bytes;
        if (moved.flow == HostStream::Flow::Ended)
            return text.size();
        if (moved.error != 0)  // a full disk
            break;
        if (moved.flow == HostStream::Flow::Ready)
            continue;
        const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
        pollfd room{.fd = stream_.fd(), .events = POLLOUT, .revents = 0};
        if (left <= milliseconds{0} || ::poll(&room, 1, static_cast<int>(left.count())) == 0)
            break;
    }
    return done;
}

bool MessageStream::catch_up(Clock::time_point until) {
    begun_.erase(0, put(begun_, until));
    if (!begun_.empty())
        return false;
    if (dropped_ == 0)
        return true;
    const auto note = lost_messages(dropped_, "nobody read them");
    const auto done = put(note, until);
    if (done == 0)
        return false;
    dropped_ = 0;
    begun_ = note.substr(done);
    return begun_.empty();
}

// Without a thread the file is written here: better late than not at all.
MessageWriter* MessageStream::writer() noexcept {
    try {
        const std::lock_guard guard{mutex_};
        if (std::exchange(wants_writer_, false))
            writer_ = MessageWriter::start(stream_);
        return writer_.get();
    } catch (...) {  // no memory
        return nullptr;
    }
}

void MessageStream::start_writer() noexcept {
    writer();
}

void MessageStream::write(std::string_view text, milliseconds at_most) noexcept {
    if (MessageWriter* const thread = writer()) {
        thread->add(text);
        if (at_most > milliseconds{0})
            thread->wait(at_most);
        return;
    }
    const auto until = Clock::now() + at_most;
    try {
        const std::lock_guard guard{mutex_};
        const auto done = catch_up(until) ? put(text, until) : 0;
        if (done == 0)
            ++dropped_;
        else
            begun_ = text.substr(done);
    } catch (...) {  // no memory: a message must not stop a machine
        return;
    }
}

void MessageStream::finish(milliseconds at_most) noexcept {
    try {
        std::unique_lock guard{mutex_};
        if (MessageWriter* const thread = writer_.get()) {
            guard.unlock();
            thread->wait(at_most);
            return;
        }
        catch_up(Clock::now() + at_most);
    } catch (...) {
        return;
    }
}

bool MessageStream::pause_writer(milliseconds at_most) noexcept {
    const std::lock_guard guard{mutex_};
    if (writer_)
        return writer_->pause(at_most);
    if (wants_writer_)
        writer_ = MessageWriter::paused(std::move(stream_));
    wants_writer_ = false;
    return true;
}

bool MessageStream::pause_writers(milliseconds at_most) noexcept {
    bool all = true;
    find([&](MessageStream& stream) {
        all = stream.pause_writer(at_most) && all;
        return false;
    });
    return all;
}

void MessageStream::resume_writers() noexcept {
    find([](const MessageStream& stream) {
        if (stream.writer_)
            stream.writer_->resume();
        return false;
    });
}

MessageStream& standard_error() {
    static MessageStream stream{HostStream::shared_output(STDERR_FILENO)};
    return stream;
}

void finish_messages(milliseconds at_most) noexcept {
    MessageStream::find([&](MessageStream& stream) {
        stream.finish(at_most);
        return false;
    });
}

}  // namespace vmm
