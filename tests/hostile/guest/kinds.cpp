// The devices under test. A new one is an entry of this table, and a file of cases of its own where
// its requests have a form that can be wrong.
#include "lab.hpp"

namespace guest {
namespace {

// virtio-blk: a read of sector 1, which the host filled with ones.
constexpr u64 kBlockFeatures = feature(1) | feature(2) | feature(5) | feature(6) | feature(9) |
                               feature(10) | feature(11) | feature(13) | feature(14);

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

constexpr Kind kKinds[] = {
    {.name = "blk",
     .type = 2,
     .features = kBlockFeatures,
     .queues = 1,
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
};

}  // namespace

Kinds all_kinds() {
    return {kKinds, sizeof kKinds / sizeof kKinds[0]};
}

}  // namespace guest
