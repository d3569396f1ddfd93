// SPDX-License-Identifier: Apache-2.0
#include "pci.hpp"

namespace guest {
namespace {

constexpr u32 kCapabilities = 0x34;
constexpr u8 kVendorSpecific = 0x09;
constexpr u8 kMsix = 0x11;
constexpr unsigned kMostCapabilities = 48;

// struct virtio_pci_cap. Spec: virtio 1.3, 4.1.4.
void take_structure(Function function, u32 at, Parts& parts) {
    const unsigned bar = function.get8(at + 4);
    const u64 where = bar < 6 ? function.bar(bar) + u64{function.get32(at + 8)} : 0;
    const u32 length = function.get32(at + 12);
    switch (function.get8(at + 3)) {
        case 1:
            parts.common = where;
            break;
        case 2:
            parts.multiplier = function.get32(at + 16);
            if (function.bar_is_port(bar)) {
                parts.ports = static_cast<u16>(where);
                parts.port_bar = bar;
                break;
            }
            parts.notify = where;
            parts.notify_length = length;
            break;
        case 3:
            parts.isr = where;
            break;
        case 4:
            parts.device = where;
            parts.device_length = length;
            break;
        case 5:
            parts.window = at;
            break;
        default:
            break;
    }
}

}  // namespace

Function find_function(u16 vendor, u16 device, Function after) {
    for (unsigned slot = after ? after.slot + 1 : 0; slot < kSlots; ++slot) {
        const Function function{slot};
        if (function.get32(0) == (u32{device} << 16 | vendor))
            return function;
    }
    return {};
}

Parts find_parts(Function function) {
    Parts parts;
    u32 at = function.get8(kCapabilities);
    for (unsigned i = 0; at != 0 && i < kMostCapabilities; ++i) {
        switch (function.get8(at)) {
            case kVendorSpecific:
                take_structure(function, at, parts);
                break;
            case kMsix:
                parts.msix = at;
                parts.vectors = (function.get16(at + 2) & 0x7ffU) + 1;
                parts.table = function.bar() + u64{function.get32(at + 4) & ~7U};
                parts.pending = function.bar() + u64{function.get32(at + 8) & ~7U};
                break;
            default:
                break;
        }
        at = function.get8(at + 1);
    }
    return at == 0 ? parts : Parts{};
}

}  // namespace guest
