// SPDX-License-Identifier: Apache-2.0
#include "virtio_console/port.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <utility>

#include "virtio_console/wire.hpp"
#include "vmm/assert.hpp"

namespace vmm::virtio_console {
namespace {

// What is done in one turn: others want the lock and the thread too.
constexpr std::uint64_t kTurnBytes = 64 << 10;
constexpr unsigned kTurnChains = 256;

}  // namespace

Port::Port(PortOptions options, virtio::Chain& chain)
    : options_{std::move(options)}, sink_{*options_.sink}, chain_{chain} {
    VMM_ASSERT(options_.name.size() <= kMaxName);
}

// Input.

std::size_t Port::receive(std::span<const std::byte> bytes) noexcept {
    if (input_ == nullptr || !open_ || paused_) {
        starved_ = true;
        return 0;
    }
    virtio::Queue& queue = *input_;
    std::size_t taken = 0;
    for (unsigned chains = 0; taken < bytes.size(); ++chains) {
        if (chains == kTurnChains) {
            sink_.resume_input();
            break;
        }
        if (queue.pop(chain_)) {
            const auto room =
                std::min<std::uint64_t>(bytes.size() - taken, chain_.writable_bytes());
            // A buffer that is not RAM comes back empty, and the next one is tried.
            const bool put = chain_.writer().copy_out(queue.memory(), bytes.subspan(taken, room));
            queue.complete(chain_.head(), static_cast<std::uint32_t>(put ? room : 0));
            taken += put ? room : 0;
        } else if (!queue.enable_kicks()) {
            starved_ = true;
            break;
        }
    }
    queue.publish();
    return taken;
}

void Port::refilled(virtio::Queue& queue) noexcept {
    input_ = &queue;
    if (starved_)
        ask_for_input();
    else
        queue.disable_kicks();
}

void Port::set_open(bool open) noexcept {
    open_ = open;
    if (starved_)
        ask_for_input();
}

void Port::set_paused(bool paused) noexcept {
    paused_ = paused;
    if (starved_)
        ask_for_input();
}

// The host offers its input again only if there is a buffer for it: a driver that kicks without
// adding any wakes nobody.
void Port::ask_for_input() noexcept {
    if (input_ == nullptr || !open_ || paused_ || !input_->enable_kicks())
        return;
    starved_ = false;
    input_->disable_kicks();
    sink_.resume_input();
}

// Output.

void Port::transmit(virtio::Queue& queue) noexcept {
    output_ = &queue;
    queue.disable_kicks();
    if (state_ == Output::Waits)
        return;
    const bool more = take_turn(queue);
    queue.publish();
    if (more)
        queue.kick();
}

// True if there is more that can go out now.
bool Port::take_turn(virtio::Queue& queue) noexcept {
    std::uint64_t budget = kTurnBytes;
    for (unsigned chains = 0; chains < kTurnChains; ++chains) {
        if (!queue.pop(chain_))
            return queue.enable_kicks();
        const Sent sent = send(queue.memory(), budget);
        if (sent != Sent::All) {
            queue.unpop(chain_.head());
            if (sent == Sent::NoRoom)
                state_ = Output::Waits;
            return sent == Sent::Budget;
        }
        sent_ = 0;
        queue.complete(chain_.head(), 0);
    }
    return true;
}

// Goes on with the request in chain_ where the last turn stopped.
Port::Sent Port::send(const GuestMemory& memory, std::uint64_t& budget) noexcept {
    if (state_ == Output::Dropped) {
        const std::uint64_t all = chain_.readable_bytes();
        dropped_ += all - std::min(all, sent_);
        return Sent::All;
    }
    // A piece lies in one region of RAM, or in two that touch; more is not worth room.
    std::array<iovec, 4> pieces{};
    std::uint64_t skip = sent_;
    for (const virtio::Segment& segment : chain_.readable()) {
        const auto skipped = std::min<std::uint64_t>(skip, segment.length);
        skip -= skipped;
        std::uint64_t at = skipped;
        while (at < segment.length) {
            if (budget == 0)
                return Sent::Budget;
            const std::uint64_t length = std::min(segment.length - at, budget);
            const auto count = memory.host_iovecs(Gpa{segment.at.value() + at}, length,
                                                  Transfer::FromGuest, pieces);
            if (!count)
                return Sent::All;  // not RAM: this request is at its end
            for (const iovec& piece : std::span{pieces}.first(*count))
                if (!send_piece({static_cast<const std::byte*>(piece.iov_base), piece.iov_len}))
                    return Sent::NoRoom;
            at += length;
            budget -= length;
        }
    }
    return Sent::All;
}

bool Port::send_piece(std::span<const std::byte> bytes) noexcept {
    const std::size_t taken = sink_.write(bytes);
    sent_ += taken;
    return taken == bytes.size();
}

void Port::on_room() noexcept {
    if (state_ != Output::Waits)
        return;
    state_ = Output::Flows;
    if (output_ != nullptr)
        output_->kick();
}

std::uint64_t Port::drop_output() noexcept {
    state_ = Output::Dropped;
    if (output_ == nullptr)
        return dropped_;
    // The ring is as it is, now that no driver runs: it is seen once.
    const unsigned turns = 1 + output_->size() / kTurnChains;
    for (unsigned i = 0; i < turns && take_turn(*output_); ++i) {
    }
    output_->publish();
    return dropped_;
}

void Port::leave(const virtio::Queue& queue) noexcept {
    if (input_ == &queue)
        input_ = nullptr;
    if (output_ == &queue) {
        output_ = nullptr;
        sent_ = 0;
    }
}

}  // namespace vmm::virtio_console
