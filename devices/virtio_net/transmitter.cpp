// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/transmitter.hpp"

#include <cstring>
#include <span>
#include <utility>

#include "virtio_net/offloads.hpp"

namespace vmm::virtio_net {

Transmitter::Transmitter(FrameChannel& channel)
    : channel_{&channel},
      in_one_piece_{std::make_unique_for_overwrite<std::byte[]>(FrameHeader::kSize + kMaxFrame)} {}

void Transmitter::start(virtio::Queue& queue, FrameOffloads allowed) {
    vectors_.resize(kMaxVectors);
    queue_ = &queue;
    allowed_ = allowed;
}

Pause Transmitter::run(virtio::Chain& chain) noexcept {
    queue_->disable_kicks();
    if (!flush())
        return stuck();
    for (unsigned frames = 0; frames < kBudget; ++frames) {
        if (frames % kPublishEach == kPublishEach - 1)
            queue_->publish();
        if (!queue_->pop(chain)) {
            const bool sent = flush();
            queue_->publish();
            if (!sent)
                return stuck();
            if (!queue_->enable_kicks())
                return Pause::Idle;
            queue_->disable_kicks();
            continue;
        }
        const FrameIo::Status status = send(chain).status;
        if (status == FrameIo::Status::Again) {
            // Without asking for kicks: the channel's sign comes first.
            queue_->unpop(chain.head());
            queue_->publish();
            return Pause::Blocked;
        }
        queue_->complete(chain.head(), 0);
        account(status);
        if (unflushed_ || status == FrameIo::Status::Gone) {
            queue_->publish();
            return stuck();
        }
    }
    const bool sent = flush();
    queue_->publish();
    return sent ? Pause::Budget : stuck();
}

void Transmitter::account(FrameIo::Status status) noexcept {
    switch (status) {
        case FrameIo::Status::Kept:
            ++kept_;
            break;
        case FrameIo::Status::Filled:
            unflushed_ = true;
            [[fallthrough]];
        case FrameIo::Status::Done:
            ++counts_.frames;
            break;
        case FrameIo::Status::Gone:
            lose();
            [[fallthrough]];
        default:
            ++counts_.dropped;
    }
}

// False if something is left.
bool Transmitter::flush() noexcept {
    if (!unflushed_ && kept_ == 0)
        return true;
    const FrameIo io = channel_->flush();
    counts_.dropped += io.lost;
    kept_ -= io.lost;
    unflushed_ = io.status == FrameIo::Status::Again;
    if (unflushed_)
        return false;
    if (io.status == FrameIo::Status::Gone) {
        lose();
        return false;
    }
    counts_.frames += std::exchange(kept_, 0);
    return true;
}

void Transmitter::lose() noexcept {
    gone_ = true;
    unflushed_ = false;
    counts_.dropped += std::exchange(kept_, 0);
}

FrameIo Transmitter::send(const virtio::Chain& chain) noexcept {
    static constexpr FrameIo kDropped{.status = FrameIo::Status::Dropped};
    if (gone_)
        return kDropped;
    virtio::Cursor reader = chain.reader();
    const auto header = reader.read<FrameHeader>(queue_->memory());
    const std::uint64_t length = reader.remaining();
    if (!header || length < kMinFrame || length > kMaxFrame)
        return kDropped;
    header_ = *header;
    if (!accept_header(header_, length, allowed_))
        return kDropped;

    if (length <= kShortFrame)
        return send_copy(reader, length);
    const std::span vectors{vectors_};
    vectors[0] = {&header_, sizeof header_};
    virtio::Cursor again = reader;
    const auto count = reader.iovecs(queue_->memory(), length, vectors.subspan(1));
    if (!count)  // not RAM, or in more pieces than one writev takes
        return send_copy(again, length);
    return channel_->send(vectors.first(1 + *count));
}

FrameIo Transmitter::send_copy(virtio::Cursor& frame, std::uint64_t length) noexcept {
    std::memcpy(in_one_piece_.get(), &header_, sizeof header_);
    if (!frame.copy_in(queue_->memory(), {in_one_piece_.get() + sizeof header_, length}))
        return {.status = FrameIo::Status::Dropped};
    const iovec whole{in_one_piece_.get(), sizeof header_ + length};
    return channel_->send({&whole, 1});
}

}  // namespace vmm::virtio_net
