// SPDX-License-Identifier: Apache-2.0
// A disk in memory that fails, waits and reorders as a test wants.
//
// Threads: the device's I/O thread uses the queue, the test everything else.
#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "vmm/block_backend.hpp"
#include "vmm/event_fd.hpp"

namespace vmm::test {

class FakeBlockBackend final : public BlockBackend {
public:
    using Kind = BlockRequest::Kind;

    /// What a backend was asked for.
    struct Seen {
        Kind kind = Kind::Read;
        std::uint64_t offset = 0;
        std::uint64_t length = 0;
        bool durable = false;
        bool unmap = false;
        std::size_t pieces = 0;
        friend bool operator==(const Seen&, const Seen&) = default;
    };

    explicit FakeBlockBackend(std::uint64_t size) : bytes_(size) {
        info_.name = "/fake/disk";
        info_.size = size;
        info_.can_discard = true;
        info_.can_unmap_zeroes = true;
    }

    /// What it is; before the device is made.
    BlockInfo& described() { return info_; }

    // What it holds. No request may be under way.
    std::string text(std::uint64_t at, std::size_t length) {
        const std::scoped_lock held{mutex_};
        return {reinterpret_cast<const char*>(bytes_.data()) + at, length};
    }
    void put(std::uint64_t at, std::string_view text) {
        const std::scoped_lock held{mutex_};
        std::memcpy(bytes_.data() + at, text.data(), text.size());
    }
    void resize(std::uint64_t size) {
        const std::scoped_lock held{mutex_};
        bytes_.resize(size);
    }

    // How it behaves.

    /// Requests wait for release() from now on.
    void hold() {
        const std::scoped_lock held{mutex_};
        holding_ = true;
    }
    /// Ends so many of those that wait, the oldest or the youngest first.
    enum class Order : std::uint8_t { Oldest, Youngest };
    void release(std::size_t count, Order order = Order::Oldest) {
        const std::scoped_lock held{mutex_};
        for (; count > 0 && !held_.empty(); --count) {
            const auto which = order == Order::Oldest ? held_.begin() : held_.end() - 1;
            end(**which);
            held_.erase(which);
        }
        if (std::exchange(armed_, false))  // as io_uring may: nobody else is woken
            event_->signal();
    }
    /// And holds no more.
    void release_all() {
        release(held());
        const std::scoped_lock held{mutex_};
        holding_ = false;
    }
    std::size_t held() {
        const std::scoped_lock held{mutex_};
        return held_.size();
    }
    /// As soon as so many wait they are always about to be done, as a large request is whose pieces
    /// are in memory.
    void seem_ready(std::size_t count) {
        const std::scoped_lock held{mutex_};
        seems_ready_from_ = count;
    }
    /// What is cancelled ends at once; else it is as if the disk had it already.
    void let_cancel() {
        const std::scoped_lock held{mutex_};
        cancels_ = true;
    }
    /// Bytes of the reads and writes that wait.
    std::uint64_t held_bytes() {
        const std::scoped_lock held{mutex_};
        std::uint64_t bytes = 0;
        for (const BlockRequest* const request : held_)
            bytes += request->iovecs.empty() ? 0 : request->length;
        return bytes;
    }
    /// Each request of this kind ends with this errno.
    void fail(Kind kind, int error) {
        const std::scoped_lock held{mutex_};
        failures_[static_cast<std::size_t>(kind)] = error;
    }

    /// From now on nobody can tell how large it is.
    void hide_size(int error) {
        const std::scoped_lock held{mutex_};
        size_error_ = error;
    }

    /// Called on the I/O thread after each batch, and each request; set before the device starts.
    std::function<void()> after_commit;
    std::function<void()> after_submit;
    /// Called by whoever asks for its size; set before somebody does.
    std::function<void()> before_size;

    // What happened.
    std::vector<Seen> seen() {
        const std::scoped_lock held{mutex_};
        return seen_;
    }
    unsigned cancelled() {
        const std::scoped_lock held{mutex_};
        return cancelled_;
    }
    unsigned commits() {
        const std::scoped_lock held{mutex_};
        return commits_;
    }

    const BlockInfo& info() const noexcept override { return info_; }
    Result<std::uint64_t> current_size() const override {
        if (before_size)
            before_size();
        const std::scoped_lock held{mutex_};
        if (size_error_ != 0)
            return std::unexpected(Error::os("fstat", size_error_));
        return bytes_.size();
    }
    Result<std::unique_ptr<BlockQueue>> make_queue(unsigned depth) override {
        depth_ = depth;
        return std::unique_ptr<BlockQueue>{new Queue{*this}};
    }
    unsigned depth() const { return depth_; }

private:
    class Queue final : public BlockQueue {
    public:
        explicit Queue(FakeBlockBackend& disk) : disk_{disk} {}

        void submit(BlockRequest& request) noexcept override {
            batch_.push(request);
            if (disk_.after_submit)
                disk_.after_submit();
        }
        void commit() noexcept override {
            {
                const std::scoped_lock held{disk_.mutex_};
                ++disk_.commits_;
                while (BlockRequest* const request = batch_.pop())
                    disk_.begin(*request);
            }
            if (disk_.after_commit)
                disk_.after_commit();
        }
        BlockRequest* reap() noexcept override {
            const std::scoped_lock held{disk_.mutex_};
            disk_.armed_ = false;
            return disk_.done_.pop();
        }
        void cancel(BlockRequest& request) noexcept override {
            const std::scoped_lock held{disk_.mutex_};
            request.cancelled = true;
            ++disk_.cancelled_;
            const auto found = std::ranges::find(disk_.held_, &request);
            if (!disk_.cancels_ || found == disk_.held_.end())
                return;
            disk_.held_.erase(found);
            request.error = ECANCELED;
            disk_.done_.push(request);
        }
        bool arm() noexcept override {
            bool seems_ready = false;
            {
                const std::scoped_lock held{disk_.mutex_};
                seems_ready = disk_.held_.size() >= disk_.seems_ready_from_;
                disk_.armed_ = disk_.done_.empty() && !seems_ready;
                if (disk_.armed_)
                    return false;
            }
            // Who asks again at once must not keep the lock from the test, which releases requests.
            if (seems_ready)
                std::this_thread::sleep_for(std::chrono::microseconds{10});
            return true;
        }
        int completion_fd() const noexcept override { return disk_.event_->fd(); }
        void wait() noexcept override {
            while (!arm()) {
                pollfd asked{.fd = completion_fd(), .events = POLLIN, .revents = 0};
                ::poll(&asked, 1, -1);
                disk_.event_->drain();
            }
        }

    private:
        FakeBlockBackend& disk_;
        BlockRequestList batch_;
    };

    // With the lock held.
    void begin(BlockRequest& request) {
        seen_.push_back({.kind = request.kind,
                         .offset = request.offset,
                         .length = request.length,
                         .durable = request.durable,
                         .unmap = request.unmap,
                         .pieces = request.iovecs.size()});
        if (holding_)
            held_.push_back(&request);
        else
            end(request);
    }
    void end(BlockRequest& request) {
        request.error = failures_[static_cast<std::size_t>(request.kind)];
        if (request.error == 0)
            perform(request);
        done_.push(request);
    }
    void perform(BlockRequest& request) {
        if (request.kind == Kind::Flush)
            return;
        if (request.length > bytes_.size() || request.offset > bytes_.size() - request.length) {
            request.error = EIO;
            return;
        }
        std::byte* at = bytes_.data() + request.offset;
        if (request.kind == Kind::Discard || request.kind == Kind::WriteZeroes)
            std::fill_n(at, request.length, std::byte{0});
        for (const iovec& piece : request.iovecs) {
            if (request.kind == Kind::Read)
                std::memcpy(piece.iov_base, at, piece.iov_len);
            else
                std::memcpy(at, piece.iov_base, piece.iov_len);
            at += piece.iov_len;
        }
    }

    BlockInfo info_;
    unsigned depth_ = 0;
    Result<EventFd> event_ = EventFd::create();

    mutable std::mutex mutex_;  // over what follows
    std::vector<std::byte> bytes_;
    bool holding_ = false;
    bool armed_ = true;  // somebody sleeps until the event comes
    int size_error_ = 0;
    std::vector<BlockRequest*> held_;
    std::array<int, 5> failures_{};
    std::vector<Seen> seen_;
    unsigned commits_ = 0;
    unsigned cancelled_ = 0;
    bool cancels_ = false;
    std::size_t seems_ready_from_ = SIZE_MAX;
    BlockRequestList done_;
};

}  // namespace vmm::test
