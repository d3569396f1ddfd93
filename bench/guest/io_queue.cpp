// SPDX-License-Identifier: Apache-2.0
#include "io_queue.hpp"

namespace guest {
namespace {

constexpr u16 kMostQueues = 2;
struct Memory {
    alignas(4096) volatile u8 descriptors[4096];
    alignas(4096) volatile u8 available[4096];
    alignas(4096) volatile u8 device[4096];
    alignas(4096) volatile u8 tables[IoQueue::kMostSlots * IoQueue::kMostParts * 16];
};
Memory memory[kMostQueues];

void put(u64 at, const Descriptor& descriptor) {
    write64(at, descriptor.at);
    write32(at + 8, descriptor.length);
    write16(at + 12, descriptor.flags);
    write16(at + 14, descriptor.next);
}

}  // namespace

bool IoQueue::set_up(const Virtio& device, u16 number, u16 want, u16 parts, u64 features) {
    Memory& own = memory[number % kMostQueues];
    virtio_ = &device;
    number_ = number;
    indirect_ = parts > 1 && (features & kIndirectFeature) != 0;
    stride_ = indirect_ ? u16{1} : parts;
    event_index_ = (features & kEventIndex) != 0;
    descriptors_ = address_of(own.descriptors);
    available_ = address_of(own.available);
    device_ = address_of(own.device);
    tables_ = address_of(own.tables);

    device.select(number);
    u16 size = device.get16(reg::kQueueSize);
    while (size > kMostSlots)
        size = static_cast<u16>(size / 2);
    if (size < stride_ || parts > kMostParts)
        return false;
    mask_ = static_cast<u16>(size - 1);
    const auto room = static_cast<u16>(size / stride_);
    slots_ = want < room ? want : room;
    device.set16(reg::kQueueSize, size);
    device.set_address(reg::kQueueDescriptors, descriptors_);
    device.set_address(reg::kQueueDriver, available_);
    device.set_address(reg::kQueueDevice, device_);
    device.enable(number);
    hush();
    return true;
}

void IoQueue::describe(u16 slot, const Descriptor* descriptors, u16 count) {
    const u64 at =
        indirect_ ? tables_ + 16ULL * kMostParts * slot : descriptors_ + 16ULL * stride_ * slot;
    const auto first = static_cast<u16>(indirect_ ? 0 : stride_ * slot);
    for (u16 i = 0; i < count; ++i) {
        Descriptor one = descriptors[i];
        one.flags = static_cast<u16>(one.flags | (i + 1 < count ? kNext : 0));
        one.next = static_cast<u16>(first + i + 1);
        put(at + 16ULL * i, one);
    }
    if (indirect_)
        put(descriptors_ + 16ULL * slot,
            {.at = at, .length = 16U * count, .flags = kIndirect, .next = 0});
}

// The next interrupt is wanted half a lap of the index away: never.
void IoQueue::hush() {
    if (event_index_)
        write16(available_ + 4 + 2 * (mask_ + 1), static_cast<u16>(seen_ + 0x8000));
    else
        write16(available_, 1);
}

void IoQueue::flush() {
    if (published_ == offered_)
        return;
    const u16 before = published_;
    published_ = offered_;
    write16(available_ + 2, published_);
    if (event_index_)
        hush();
    fence();
    bool wanted = (read16(device_) & 1) == 0;
    if (event_index_) {
        const u16 event = read16(device_ + 4 + 8 * (mask_ + 1));
        wanted = static_cast<u16>(published_ - event - 1) < static_cast<u16>(published_ - before);
    }
    if (!wanted)
        return;
    ++kicks_;
    virtio_->kick(number_);
}

}  // namespace guest
