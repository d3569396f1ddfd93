// SPDX-License-Identifier: Apache-2.0
// A driver's half of a split virtqueue that costs as little as it can, for measuring what is behind
// it: every request has a slot of its own, with a table of descriptors that is written once.
//
// Spec: virtio 1.3, 2.7 (split ring), 2.7.10 (EVENT_IDX). Completions are polled for; the device is
// told that nobody wants interrupts.
#pragma once

#include "virtio.hpp"

namespace guest {

class IoQueue {
public:
    static constexpr u16 kMostSlots = 256;
    static constexpr u16 kMostParts = 17;  // descriptors of a slot

    /// `want` slots of up to `parts` descriptors, or as many as the device's queue has room for.
    /// Between FEATURES_OK and DRIVER_OK.
    bool set_up(const Virtio& device, u16 number, u16 want, u16 parts, u64 features);
    u16 slots() const { return slots_; }

    /// The descriptors of a slot, in the order in which the device sees them; in a table of their
    /// own if the device takes that.
    void describe(u16 slot, const Descriptor* descriptors, u16 count);

    /// Makes a slot's request available; the device hears of it with flush().
    void offer(u16 slot) {
        write16(available_ + 4 + 2 * (offered_ & mask_), static_cast<u16>(slot * stride_));
        ++offered_;
    }
    /// Publishes what was offered, and kicks if the device asked for that.
    void flush();

    /// One request that the device is done with; `length` is what it wrote.
    bool take(u16& slot, u32& length) {
        if (seen_ == used_)
            used_ = read16(device_ + 2);
        if (seen_ == used_)
            return false;
        const u64 at = device_ + 4 + 8 * (seen_ & mask_);
        slot = static_cast<u16>(read16(at) / stride_);
        length = read32(at + 4);
        ++seen_;
        return true;
    }
    u64 kicks() const { return kicks_; }

private:
    void hush();

    const Virtio* virtio_ = nullptr;
    u64 descriptors_ = 0;
    u64 available_ = 0;
    u64 device_ = 0;
    u64 tables_ = 0;
    u64 kicks_ = 0;
    u16 number_ = 0;
    u16 slots_ = 0;
    u16 mask_ = 0;
    u16 offered_ = 0;
    u16 published_ = 0;
    u16 used_ = 0;
    u16 seen_ = 0;
    u16 stride_ = 1;  // descriptors in the ring from one slot to the next
    bool indirect_ = false;
    bool event_index_ = false;
};

}  // namespace guest
