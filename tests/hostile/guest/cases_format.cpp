// SPDX-License-Identifier: Apache-2.0
// A disk whose content looks like an image of another format: row 28.
//
// A monitor that guesses an image's format from its first sectors lets the guest choose it: a qcow2
// header that names a file of the host as backing file would make that file the guest's disk, and
// its length the disk's. The host gives the read-only disk such a header before it starts
// (hostile.py); on the other one it is written here.
#include "lab.hpp"

namespace guest {
namespace {

constexpr u32 kRead = 0;
constexpr u32 kWriteType = 1;
constexpr u32 kSector = 512;
constexpr u64 kSectors = 16384;  // hostile.py: SECTORS

// Header of qcow2, version 3: big-endian. Spec: QEMU, docs/interop/qcow2.
constexpr unsigned kBackingOffset = 8;
constexpr unsigned kBackingSize = 16;
constexpr unsigned kClusterBits = 20;
constexpr unsigned kVirtualSize = 24;
constexpr unsigned kHeaderLength = 100;
constexpr unsigned kName = 104;
constexpr char kBacking[] = "/etc/passwd";
constexpr u8 kMagic[] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3};

// What the sector holds with the header in it.
u8 header_byte(unsigned at) {
    if (at < sizeof kMagic)
        return kMagic[at];
    if (at >= kName && at < kName + sizeof kBacking - 1)
        return static_cast<u8>(kBacking[at - kName]);
    switch (at) {
        case kBackingOffset + 7:
            return kName;
        case kBackingSize + 3:
            return sizeof kBacking - 1;
        case kClusterBits + 3:
            return 16;
        case kVirtualSize + 2:  // 1 TiB
            return 1;
        case kHeaderLength + 3:
            return kName;
        default:
            return 0;
    }
}

bool transfer(Lab& lab, u32 type, u64 sector) {
    write32(address_of(buffers.header), type);
    write32(address_of(buffers.header) + 4, 0);
    write64(address_of(buffers.header) + 8, sector);
    buffers.other[0] = 0xee;
    Chain chain;
    chain.add(buffers.header, 16)
        .add(buffers.data, kSector, type == kRead ? kWrite : u16{0})
        .add(buffers.other, 1, kWrite);
    lab.submit(chain.link());
    return lab.expect_used() && lab.expect(buffers.other[0], 0, "the request's status is");
}

bool expect_size(Lab& lab) {
    return lab.expect(read64(lab.device.parts.device), kSectors, "the number of sectors is");
}

void header_of_another_format_written(Lab& lab) {
    if (!lab.up() || !expect_size(lab))
        return;
    for (unsigned i = 0; i < kSector; ++i)
        buffers.data[i] = header_byte(i);
    if (!transfer(lab, kWriteType, 0) || !lab.up() || !expect_size(lab))
        return;
    for (unsigned i = 0; i < kSector; ++i)
        buffers.data[i] = 0xee;
    if (!transfer(lab, kRead, 0))
        return;
    for (unsigned i = 0; i < kSector; ++i)
        if (!lab.expect(buffers.data[i], header_byte(i), "a byte of the header is"))
            return;
    for (unsigned i = 0; i < kSector; ++i)
        buffers.data[i] = 0;  // as it was
    if (transfer(lab, kWriteType, 0))
        lab.works();
}

void image_begins_like_another_format(Lab& lab) {
    if (!lab.up() || !expect_size(lab) || !transfer(lab, kRead, 0))
        return;
    for (unsigned i = 0; i < sizeof kMagic; ++i)
        if (!lab.expect(buffers.data[i], kMagic[i], "a byte of the header is"))
            return;
    for (const u64 sector : {u64{5}, kSectors - 1})
        if (!transfer(lab, kRead, sector) ||
            !lab.expect(buffers.data[0], sector % 256, "the sector's first byte is"))
            return;
    lab.works();
}

constexpr Case kCases[] = {
    {28, "header_of_another_format_written", kBoth, "blk", header_of_another_format_written},
    {28, "image_begins_like_another_format", kBoth, "readonly", image_begins_like_another_format},
};

}  // namespace

Cases format_cases() {
    return cases(kCases);
}

}  // namespace guest
