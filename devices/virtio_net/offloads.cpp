// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/offloads.hpp"

#include <array>
#include <cstdint>

#include "virtio_net/wire.hpp"

namespace vmm::virtio_net {
namespace {

using virtio::Features;

constexpr Features when(bool condition, Features bits) {
    return condition ? bits : 0;
}

constexpr bool has(Features features, Features bits) {
    return (features & bits) == bits;
}

}  // namespace

Features host_features(FrameOffloads takes) noexcept {
    if (!takes.checksum)
        return 0;
    return f::kCsum | when(takes.tso4, f::kHostTso4) | when(takes.tso6, f::kHostTso6) |
           when(takes.ecn && (takes.tso4 || takes.tso6), f::kHostEcn) |
           when(takes.ufo, f::kHostUfo) | when(takes.uso, f::kHostUso);
}

FrameOffloads host_offloads(Features features) noexcept {
    if (!has(features, f::kCsum))
        return {};
    return {.checksum = true,
            .tso4 = has(features, f::kHostTso4),
            .tso6 = has(features, f::kHostTso6),
            .ecn = has(features, f::kHostEcn),
            .ufo = has(features, f::kHostUfo),
            .uso = has(features, f::kHostUso)};
}

Features guest_features(FrameOffloads gives) noexcept {
    if (!gives.checksum)
        return 0;
    return f::kGuestCsum | when(gives.tso4, f::kGuestTso4) | when(gives.tso6, f::kGuestTso6) |
           when(gives.ecn && (gives.tso4 || gives.tso6), f::kGuestEcn) |
           when(gives.ufo, f::kGuestUfo) | when(gives.uso, f::kGuestUso4 | f::kGuestUso6);
}

FrameOffloads guest_offloads(Features features) noexcept {
    if (!has(features, f::kGuestCsum))
        return {};
    return {.checksum = true,
            .tso4 = has(features, f::kGuestTso4),
            .tso6 = has(features, f::kGuestTso6),
            .ecn = has(features, f::kGuestEcn),
            .ufo = has(features, f::kGuestUfo),
            .uso = has(features, f::kGuestUso4 | f::kGuestUso6)};
}

bool consistent(Features features) noexcept {
    struct Need {
        Features bits;    // any of these
        Features one_of;  // needs one of these
    };
    static constexpr auto kNeeds = std::array{
        Need{f::kGuestTso4 | f::kGuestTso6 | f::kGuestUfo | f::kGuestUso4 | f::kGuestUso6,
             f::kGuestCsum},
        Need{f::kGuestEcn, f::kGuestTso4 | f::kGuestTso6},
        Need{f::kHostTso4 | f::kHostTso6 | f::kHostUfo | f::kHostUso, f::kCsum},
        Need{f::kHostEcn, f::kHostTso4 | f::kHostTso6},
        Need{f::kCtrlGuestOffloads | f::kCtrlRx | f::kCtrlRxExtra | f::kGuestAnnounce | f::kMq |
                 f::kCtrlMacAddr,
             f::kCtrlVq},
    };
    for (const Need& need : kNeeds)
        if ((features & need.bits) != 0 && (features & need.one_of) == 0)
            return false;
    return true;
}

bool segmentation_allowed(std::uint8_t type, FrameOffloads allowed) noexcept {
    switch (type) {
        case FrameHeader::kGsoTcp4:
            return allowed.tso4;
        case FrameHeader::kGsoTcp6:
            return allowed.tso6;
        case FrameHeader::kGsoTcp4 | FrameHeader::kGsoEcn:
            return allowed.tso4 && allowed.ecn;
        case FrameHeader::kGsoTcp6 | FrameHeader::kGsoEcn:
            return allowed.tso6 && allowed.ecn;
        case FrameHeader::kGsoUdp:
            return allowed.ufo;
        case FrameHeader::kGsoUdpL4:
            return allowed.uso;
        default:
            return false;
    }
}

bool accept_header(FrameHeader& header, std::size_t length, FrameOffloads allowed) noexcept {
    const bool checksum = (header.flags & FrameHeader::kNeedsChecksum) != 0;
    const bool segments = header.gso_type != FrameHeader::kGsoNone;
    // "The driver MUST NOT set VIRTIO_NET_HDR_F_DATA_VALID"; other bits are not ours to judge.
    header.flags = checksum ? FrameHeader::kNeedsChecksum : std::uint8_t{0};
    header.num_buffers = 0;

    if (checksum) {
        const std::size_t end = std::size_t{header.checksum_start} + header.checksum_offset + 2;
        if (!allowed.checksum || end > length)
            return false;
    } else {
        header.checksum_start = 0;
        header.checksum_offset = 0;
    }

    if (segments) {
        // "If gso_type is not NONE, the driver MUST also set NEEDS_CSUM"; UFO alone may do without
        // in practice, since fragments carry the datagram's own checksum.
        const bool needs_checksum = header.gso_type != FrameHeader::kGsoUdp;
        return segmentation_allowed(header.gso_type, allowed) && header.gso_size != 0 &&
               header.header_length <= length && (checksum || !needs_checksum);
    }
    header.gso_size = 0;
    if (!checksum || header.header_length > length)
        header.header_length = 0;
    return true;
}

}  // namespace vmm::virtio_net
