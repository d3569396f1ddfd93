// SPDX-License-Identifier: Apache-2.0
// The devices under test. A new one is an entry of this table, and a file of cases of its own where
// its requests have a form that can be wrong.
#include "lab.hpp"

namespace guest {
namespace {

// virtio-blk: a read of sector 1, which the host filled with ones.
constexpr u64 kBlockFeatures = feature(1) | feature(2) | feature(5) | feature(6) | feature(9) |
                               feature(10) | feature(11) | feature(12) | feature(13) | feature(14);

void block_request(Chain& chain) {
    write64(address_of(buffers.header), 0);  // read
    write64(address_of(buffers.header + 8), 1);
    buffers.other[0] = 0xff;
    buffers.data[511] = 0;
    chain.add(buffers.header, 16)
        .add(buffers.data, 512, kWrite)
        .add(buffers.other, 1, kWrite)
        .link();
}

bool block_answered(const Used& used) {
    return used.length == 513 && buffers.other[0] == 0 && buffers.data[0] == 1 &&
           buffers.data[511] == 1;
}

// What goes out comes back with nothing written.
bool taken(const Used& used) {
    return used.length == 0;
}

// virtio-rng: 64 bytes.
void entropy_request(Chain& chain) {
    chain.add(buffers.data, 64, kWrite).link();
}

bool entropy_answered(const Used& used) {
    return used.length == 64;
}

// virtio-net: a frame of a protocol that is for experiments, to everybody. The host sends it back.
constexpr u64 kNetFeatures = feature(0) | feature(1) | feature(2) | feature(3) | feature(5) |
                             feature(7) | feature(8) | feature(11) | feature(12) | feature(15) |
                             feature(16) | feature(17) | feature(18) | feature(20) | feature(21) |
                             feature(23);

constexpr u64 kPairs = feature(17) | feature(22);  // control queue, several pairs

void net_request(Chain& chain) {
    for (unsigned i = 0; i < 12; ++i)
        buffers.header[i] = 0;
    for (unsigned i = 0; i < 60; ++i)
        buffers.data[i] = i < 6 ? 0xff : 0;
    buffers.data[6] = 2;  // a local address
    buffers.data[12] = 0x88;
    buffers.data[13] = 0xb5;
    chain.add(buffers.header, 12).add(buffers.data, 60).link();
}

// virtio-console: a line of output on the first port.
constexpr u64 kConsoleFeatures = feature(0) | feature(2);

void console_request(Chain& chain) {
    for (unsigned i = 0; i < 32; ++i)
        buffers.data[i] = i == 31 ? '\n' : '.';
    chain.add(buffers.data, 32).link();
}

// Ports beside the console, with queues for messages about them: the driver says that it is ready.
constexpr u64 kPortFeatures = feature(1);

void ports_request(Chain& chain) {
    write32(address_of(buffers.header), 0);
    write32(address_of(buffers.header + 4), u32{1} << 16);
    chain.add(buffers.header, 8).link();
}

constexpr Kind kKinds[] = {
    {.name = "blk",
     .type = 2,
     .features = kBlockFeatures,
     .queues = 2,
     .queue = 0,
     .data = 1,
     .request = block_request,
     .answered = block_answered},
    {.name = "readonly",
     .type = 2,
     .number = 1,
     .own_only = true,
     .features = kBlockFeatures,
     .queues = 1,
     .queue = 0,
     .data = 1,
     .request = block_request,
     .answered = block_answered},
    {.name = "rng",
     .type = 4,
     .features = 0,
     .queues = 1,
     .queue = 0,
     .data = 0,
     .request = entropy_request,
     .answered = entropy_answered},
    {.name = "console",
     .type = 3,
     .streams = true,
     .features = kConsoleFeatures,
     .queues = 2,
     .queue = 1,
     .data = 0,
     .request = console_request,
     .answered = taken},
    {.name = "ports",
     .type = 3,
     .number = 1,
     .features = kPortFeatures,
     .needed = kPortFeatures,
     .queues = 6,
     .queue = 3,
     .data = 0,
     .request = ports_request,
     .answered = taken},
    {.name = "net",
     .type = 1,
     .features = kNetFeatures,
     .queues = 3,
     .queue = 1,
     .data = 1,
     .request = net_request,
     .answered = taken},
    // With two pairs of queues; what is not about those the device before it has shown.
    {.name = "pairs",
     .type = 1,
     .number = 1,
     .own_only = true,
     .features = kNetFeatures | kPairs,
     .needed = kPairs,
     .queues = 5,
     .queue = 1,
     .data = 1,
     .request = net_request,
     .answered = taken},
};

}  // namespace

Kinds all_kinds() {
    return {kKinds, sizeof kKinds / sizeof kKinds[0]};
}

}  // namespace guest
