// SPDX-License-Identifier: Apache-2.0
// A modern virtio driver over PCI, in pieces, so that a case can leave some out or do them wrong.
//
// Spec: virtio 1.3, 3.1.1 (the order in which a driver must go), 4.1.4.3 (common configuration).
#pragma once

#include "pci.hpp"
#include "ring.hpp"

namespace guest {

namespace status {
inline constexpr u8 kAcknowledge = 1;
inline constexpr u8 kDriver = 2;
inline constexpr u8 kDriverOk = 4;
inline constexpr u8 kFeaturesOk = 8;
inline constexpr u8 kNeedsReset = 64;
inline constexpr u8 kFailed = 128;
}  // namespace status

constexpr u64 feature(unsigned bit) {
    return u64{1} << bit;
}
inline constexpr u64 kIndirectFeature = feature(28);
inline constexpr u64 kEventIndex = feature(29);
inline constexpr u64 kVersion1 = feature(32);
inline constexpr u64 kAccessPlatform = feature(33);
inline constexpr u64 kRingPacked = feature(34);
inline constexpr u64 kRingReset = feature(40);

/// Offsets in the common configuration.
namespace reg {
inline constexpr u32 kDeviceFeatureSelect = 0x00;
inline constexpr u32 kDeviceFeature = 0x04;
inline constexpr u32 kDriverFeatureSelect = 0x08;
inline constexpr u32 kDriverFeature = 0x0c;
inline constexpr u32 kConfigVector = 0x10;
inline constexpr u32 kNumQueues = 0x12;
inline constexpr u32 kStatus = 0x14;
inline constexpr u32 kGeneration = 0x15;
inline constexpr u32 kQueueSelect = 0x16;
inline constexpr u32 kQueueSize = 0x18;
inline constexpr u32 kQueueVector = 0x1a;
inline constexpr u32 kQueueEnable = 0x1c;
inline constexpr u32 kQueueNotifyOff = 0x1e;
inline constexpr u32 kQueueDescriptors = 0x20;
inline constexpr u32 kQueueDriver = 0x28;
inline constexpr u32 kQueueDevice = 0x30;
inline constexpr u32 kQueueNotifyData = 0x38;
inline constexpr u32 kQueueReset = 0x3a;
inline constexpr u32 kEnd = 0x3c;
}  // namespace reg

class Virtio {
public:
    Function function;
    Parts parts;

    bool find(u16 type, u16 number);

    u8 get8(u32 offset) const { return read8(parts.common + offset); }
    u16 get16(u32 offset) const { return read16(parts.common + offset); }
    u32 get32(u32 offset) const { return read32(parts.common + offset); }
    void set8(u32 offset, u8 value) const { write8(parts.common + offset, value); }
    void set16(u32 offset, u16 value) const { write16(parts.common + offset, value); }
    void set32(u32 offset, u32 value) const { write32(parts.common + offset, value); }

    u8 status() const { return get8(reg::kStatus); }
    void add_status(u8 bits) const { set8(reg::kStatus, static_cast<u8>(status() | bits)); }
    bool needs_reset() const { return (status() & status::kNeedsReset) != 0; }

    /// Writes 0 and waits for 0.
    bool reset() const;
    u64 offered() const;
    void accept(u64 features) const;
    u64 accepted() const;
    /// Reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK.
    bool begin(u64 features) const;

    void select(u16 queue) const { set16(reg::kQueueSelect, queue); }
    void set_address(u32 which, u64 at) const;
    u64 address(u32 which) const { return get32(which) | u64{get32(which + 4)} << 32; }
    /// Size and addresses of `ring` into the registers of `queue`, without enabling it.
    void describe(u16 queue, const Ring& ring) const;
    void enable(u16 queue) const;
    void drive() const { add_status(status::kDriverOk); }

    u64 doorbell(u16 queue) const { return parts.notify + u64{queue} * parts.multiplier; }
    u16 port_doorbell(u16 queue) const {
        return static_cast<u16>(parts.ports + queue * parts.multiplier);
    }
    /// At the port if there is one, else in memory.
    void kick(u16 queue) const {
        if (parts.ports != 0)
            ring_port(port_doorbell(queue), queue);
        else
            write16(doorbell(queue), queue);
    }
};

}  // namespace guest
