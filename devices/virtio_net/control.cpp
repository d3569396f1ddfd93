// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/control.hpp"

#include "virtio_net/offloads.hpp"
#include "virtio_net/wire.hpp"

namespace vmm::virtio_net {
namespace {

using virtio::Features;

struct Command {
    virtio::Cursor& reader;
    const GuestMemory& memory;
    Features features;
    ControlTarget& target;

    bool has(Features bits) const noexcept { return (features & bits) != 0; }
};

bool set_receive_mode(std::uint8_t command, Command& c) noexcept {
    const bool known = (command <= control::kRxAllMulti && c.has(f::kCtrlRx)) ||
                       (command > control::kRxAllMulti && command <= control::kRxNoBroadcast &&
                        c.has(f::kCtrlRxExtra));
    return known && c.reader.read<std::uint8_t>(c.memory).has_value();
}

// Unicast addresses, then multicast ones: each table its number of entries and the entries.
bool set_mac_tables(Command& c) noexcept {
    for (int table = 0; table < 2; ++table) {
        const auto entries = c.reader.read<std::uint32_t>(c.memory);
        if (!entries || !c.reader.skip(std::uint64_t{*entries} * sizeof(MacAddress)))
            return false;
    }
    return true;
}

bool set_mac_address(Command& c) noexcept {
    const auto mac = c.reader.read<MacAddress>(c.memory);
    if (!c.has(f::kCtrlMacAddr) || !mac)
        return false;
    c.target.set_mac(*mac);
    return true;
}

bool set_pairs(Command& c) noexcept {
    const auto pairs = c.reader.read<std::uint16_t>(c.memory);
    return c.has(f::kMq) && pairs && c.target.set_pairs(*pairs);
}

bool set_offloads(Command& c) noexcept {
    const auto bits = c.reader.read<std::uint64_t>(c.memory);
    const Features allowed = c.features & f::kGuestOffloads;
    if (!c.has(f::kCtrlGuestOffloads) || !bits || (*bits & ~allowed) != 0)
        return false;
    c.target.set_guest_offloads(*bits);
    return true;
}

bool run(control::Header header, Command& c) noexcept {
    switch (header.kind) {
        case control::kRx:
            return set_receive_mode(header.command, c);
        case control::kMac:
            if (header.command == control::kMacTableSet)
                return c.has(f::kCtrlRx) && set_mac_tables(c);
            return header.command == control::kMacAddressSet && set_mac_address(c);
        case control::kAnnounce:
            if (header.command != control::kAnnounceAck || !c.has(f::kGuestAnnounce))
                return false;
            c.target.acknowledge_announcement();
            return true;
        case control::kMq:
            return header.command == control::kMqPairsSet && set_pairs(c);
        case control::kGuestOffloads:
            return header.command == control::kGuestOffloadsSet && set_offloads(c);
        default:
            return false;
    }
}

}  // namespace

std::uint8_t run_command(virtio::Cursor reader, const GuestMemory& memory, Features features,
                         ControlTarget& target) noexcept {
    const auto header = reader.read<control::Header>(memory);
    Command command{reader, memory, features, target};
    return header && run(*header, command) ? control::kOk : control::kError;
}

}  // namespace vmm::virtio_net
