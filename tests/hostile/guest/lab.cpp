// SPDX-License-Identifier: Apache-2.0
#include "lab.hpp"

namespace guest {

Buffers buffers;

bool Lab::open(const Kind& of, const Ram& memory, unsigned first_ring) {
    kind = &of;
    ram = memory;
    for (unsigned i = 0; i < RingMemory::kMostRings; ++i)
        RingMemory::give(rings_[i], (first_ring + i) % RingMemory::kMostRings);
    if (!device.find(of.type, of.number))
        return false;
    queue_ = of.queue;
    offered_ = device.offered();
    bar_ = device.function.get32(kBar0);
    port_bar_ = device.function.get32(kBar0 + 4 * device.parts.port_bar);
    return true;
}

void Lab::tidy() {
    const Function& function = device.function;
    function.set32(kBar0, bar_);
    if (device.parts.ports != 0)
        function.set32(kBar0 + 4 * device.parts.port_bar, port_bar_);
    function.enable();
    if (device.parts.msix != 0)
        function.set16(device.parts.msix + 2, 0);
}

u64 Lab::features() const {
    const u64 common = kVersion1 | kIndirectFeature | kRingReset;
    const u64 packed = ring_kind == RingKind::Packed ? kRingPacked : 0;
    return (offered_ & (kind->features | common)) | packed;
}

bool Lab::negotiate(u64 with) {
    use(kind->queue);
    alive_ = false;
    return device.begin(with) || fail("FEATURES_OK was refused");
}

bool Lab::up_with(u64 with) {
    if (!negotiate(with))
        return false;
    for (u16 i = 0; i < kind->queues; ++i) {
        device.select(i);
        const u16 most = device.get16(reg::kQueueSize);
        if (most == 0)
            return fail("a queue is missing", i);
        rings_[i].clear(ring_kind, most < 16 ? most : u16{16});
        device.describe(i, rings_[i]);
        device.enable(i);
    }
    device.drive();
    return expect(device.status() & (status::kDriverOk | status::kNeedsReset), status::kDriverOk,
                  "status after DRIVER_OK is");
}

Chain Lab::request() {
    Chain chain;
    kind->request(chain);
    return chain;
}

void Lab::submit(const Chain& chain) {
    alive_ = false;
    ring().offer(chain);
    kick();
}

unsigned Lab::fill(const Chain& chain, Kicks kicks) {
    alive_ = false;
    unsigned copies = 0;
    for (u16 id = 0; id + chain.count <= ring().size(); id = u16(id + chain.count), ++copies) {
        put(chain, id);
        if (kicks == Kicks::Each)
            kick();
    }
    if (kicks == Kicks::One)
        kick();
    return copies;
}

void Lab::fill_again(const Chain& chain) {
    alive_ = false;
    for (Used used; ring().take_used(used);)
        put(chain, used.id);
    kick();
}

// A copy whose first descriptor is at place `id`.
void Lab::put(const Chain& chain, u16 id) {
    Chain copy = chain;
    for (u16 k = 0; k < copy.count; ++k)
        copy.d[k].next = static_cast<u16>(copy.d[k].next + id);
    ring().offer(copy, id);
}

bool Lab::works() {
    use(kind->queue);
    submit(request());
    alive_ = expect_used() && (kind->answered(last) || fail("a good request got a bad answer"));
    return alive_;
}

bool Lab::fail(const char* reason) {
    if (why == nullptr)
        why = reason;
    return false;
}

bool Lab::fail(const char* reason, u64 with) {
    if (why == nullptr) {
        why = reason;
        number = with;
        has_number = true;
    }
    return false;
}

bool Lab::expect(u64 is, u64 should_be, const char* what) {
    alive_ = false;
    return is == should_be || fail(what, is);
}

// The status register costs an exit; the ring does not.
Lab::Answer Lab::await() {
    alive_ = false;
    const Deadline late;
    for (u64 pace = 1 << 16; !late.over(); pace *= 2) {
        for (const Deadline soon{pace}; !soon.over(); pause())
            if (ring().take_used(last))
                return Answer::Used;
        if (device.needs_reset())
            return Answer::NeedsReset;
    }
    return Answer::None;
}

bool Lab::expect_used() {
    switch (await()) {
        case Answer::Used:
            return true;
        case Answer::NeedsReset:
            return fail("the device wants a reset instead of answering");
        case Answer::None:
            break;
    }
    return fail("the device does not answer");
}

bool Lab::expect_used(u32 length) {
    return expect_used() && expect(last.length, length, "the used length is");
}

bool Lab::expect_needs_reset() {
    switch (await()) {
        case Answer::NeedsReset:
            return true;
        case Answer::Used:
            return fail("the buffer was used, with length", last.length);
        case Answer::None:
            break;
    }
    return fail("the device does not say that it needs a reset");
}

bool Lab::expect_used_or_reset() {
    return await() != Answer::None || fail("the device neither answers nor wants a reset");
}

}  // namespace guest
