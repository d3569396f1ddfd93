// SPDX-License-Identifier: Apache-2.0
// PCI as a driver sees it: functions of bus 0 through ECAM, and what their capabilities say.
#pragma once

#include "machine.hpp"

namespace guest {

inline constexpr unsigned kSlots = 32;
inline constexpr u32 kCommand = 0x04;
inline constexpr u32 kBar0 = 0x10;
inline constexpr u16 kCommandIo = 1;
inline constexpr u16 kCommandMemory = 2;
inline constexpr u16 kCommandMaster = 4;

/// One function 0; slot 0xff is none.
struct Function {
    unsigned slot = 0xff;

    explicit operator bool() const { return slot < kSlots; }
    u64 at(u32 offset) const { return kEcam + slot * 0x8000ULL + offset; }
    u8 get8(u32 offset) const { return read8(at(offset)); }
    u16 get16(u32 offset) const { return read16(at(offset)); }
    u32 get32(u32 offset) const { return read32(at(offset)); }
    void set16(u32 offset, u16 value) const { write16(at(offset), value); }
    void set32(u32 offset, u32 value) const { write32(at(offset), value); }
    void enable() const { set16(kCommand, kCommandIo | kCommandMemory | kCommandMaster); }
    /// Where a BAR is, in memory or among the ports.
    u32 bar(unsigned index = 0) const {
        const u32 value = get32(kBar0 + 4 * index);
        return (value & 1) != 0 ? value & ~0x3U : value & ~0xfU;
    }
    bool bar_is_port(unsigned index) const { return (get32(kBar0 + 4 * index) & 1) != 0; }
};

Function find_function(u16 vendor, u16 device, Function after = {});

/// Where the parts of a virtio function are.
struct Parts {
    u64 common = 0;
    u64 isr = 0;
    u64 notify = 0;
    u64 notify_length = 0;
    u32 multiplier = 0;
    u16 ports = 0;  ///< doorbells among the ports; 0: there are none
    unsigned port_bar = 0;
    u64 device = 0;  ///< 0: it has no configuration space
    u64 device_length = 0;
    u32 window = 0;  ///< offset of the PCI_CFG capability
    u32 msix = 0;    ///< offset of the MSI-X capability
    u64 table = 0;
    u64 pending = 0;
    unsigned vectors = 0;
};
/// Follows the capabilities; those of a list that never ends are none.
Parts find_parts(Function function);

}  // namespace guest
