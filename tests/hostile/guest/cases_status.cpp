// SPDX-License-Identifier: Apache-2.0
// The life of a device: status bits, features, resets, in any order but the right one.
#include "lab.hpp"

namespace guest {
namespace {

using status::kAcknowledge;
using status::kDriver;
using status::kDriverOk;
using status::kFailed;
using status::kFeaturesOk;

bool begin_by_hand(Lab& lab) {
    if (!lab.expect(lab.device.reset(), "the reset does not end"))
        return false;
    lab.device.set8(reg::kStatus, kAcknowledge | kDriver);
    return true;
}

// ---- features

void refused(Lab& lab, u64 features) {
    if (!begin_by_hand(lab))
        return;
    lab.device.accept(features);
    lab.device.add_status(kFeaturesOk);
    lab.expect(lab.device.status() & kFeaturesOk, 0, "FEATURES_OK is");
    lab.device.drive();
    lab.expect(lab.device.status() & kDriverOk, 0, "DRIVER_OK without FEATURES_OK is");
    lab.kick();
}
void features_not_offered(Lab& lab) {
    refused(lab, lab.features() | feature(63));
}
void all_features(Lab& lab) {
    refused(lab, ~u64{0});
}
void no_version_1(Lab& lab) {
    refused(lab, lab.features() & ~kVersion1);
}
void no_features(Lab& lab) {
    refused(lab, 0);
}

void feature_selector_beyond(Lab& lab) {
    if (!begin_by_hand(lab))
        return;
    for (const u32 select : {2U, 3U, 0x8000'0000U, 0xffff'ffffU}) {
        lab.device.set32(reg::kDeviceFeatureSelect, select);
        lab.expect(lab.device.get32(reg::kDeviceFeature), 0, "features beyond the 64th are");
        lab.device.set32(reg::kDriverFeatureSelect, select);
        lab.device.set32(reg::kDriverFeature, ~u32{0});
    }
    lab.device.accept(lab.features());
    lab.device.add_status(kFeaturesOk);
    lab.expect(lab.device.status() & kFeaturesOk, kFeaturesOk, "FEATURES_OK is");
}

void features_changed_after_features_ok(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.device.accept(~u64{0});
    lab.expect(lab.device.accepted(), lab.features(), "the features are");
}

void features_changed_while_running(Lab& lab) {
    if (!lab.up())
        return;
    lab.device.accept(lab.features() ^ (kRingPacked | kIndirectFeature));
    lab.device.add_status(kFeaturesOk);
    lab.expect(lab.device.accepted(), lab.features(), "the features are");
    lab.works();
}

// Each feature alone with what is needed: none of them may be taken for granted by another.
void each_feature_alone(Lab& lab) {
    const u64 offered = lab.device.offered();
    for (unsigned bit = 0; bit < 64; ++bit) {
        if ((offered & feature(bit)) == 0)
            continue;
        if (!begin_by_hand(lab))
            return;
        lab.device.accept(kVersion1 | feature(bit));
        lab.device.add_status(kFeaturesOk);
        lab.device.drive();
        lab.kick();
    }
}

void nothing_but_version_1(Lab& lab) {
    if (lab.up_with(kVersion1 | lab.kind->needed | (lab.packed() ? kRingPacked : 0)))
        lab.works();
}

// ---- status

void driver_ok_without_features_ok(Lab& lab) {
    if (!begin_by_hand(lab))
        return;
    lab.device.accept(lab.features());
    lab.device.drive();
    lab.expect(lab.device.status() & kDriverOk, 0, "DRIVER_OK without FEATURES_OK is");
}

void all_bits_at_once(Lab& lab) {
    if (!lab.expect(lab.device.reset(), "the reset does not end"))
        return;
    lab.device.set8(reg::kStatus, 0xff);
    lab.kick();
}

void only_driver_ok(Lab& lab) {
    if (!lab.expect(lab.device.reset(), "the reset does not end"))
        return;
    lab.device.set8(reg::kStatus, kDriverOk);
    lab.expect(lab.device.status() & kDriverOk, 0, "DRIVER_OK alone is");
}

void status_bits_taken_back(Lab& lab) {
    if (!lab.up() || !lab.works())
        return;
    lab.device.set8(reg::kStatus, kAcknowledge);
    lab.device.set8(reg::kStatus, kDriverOk);
    lab.device.set8(reg::kStatus, kFeaturesOk);
    lab.works();
}

void failed_while_running(Lab& lab) {
    if (!lab.up())
        return;
    lab.ring().offer(lab.request());
    lab.device.add_status(kFailed);
    lab.kick();
    lab.expect(lab.device.status() & kFailed, kFailed, "FAILED is");
    lab.device.set8(reg::kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
}

void failed_first(Lab& lab) {
    if (!lab.expect(lab.device.reset(), "the reset does not end"))
        return;
    lab.device.set8(reg::kStatus, kFailed);
    lab.device.accept(lab.features());
    lab.device.add_status(kAcknowledge | kDriver | kFeaturesOk);
    lab.device.drive();
    lab.expect(lab.device.status() & kDriverOk, 0, "DRIVER_OK after FAILED is");
}

void needs_reset_written(Lab& lab) {
    if (!lab.up())
        return;
    lab.device.add_status(status::kNeedsReset);
    lab.expect(lab.device.needs_reset(), 0, "NEEDS_RESET that the driver wrote is");
    lab.works();
}

void negotiated_again_without_reset(Lab& lab) {
    if (!lab.up())
        return;
    lab.device.set8(reg::kStatus, kAcknowledge);
    lab.device.set8(reg::kStatus, kAcknowledge | kDriver);
    lab.device.accept(kVersion1);
    lab.device.add_status(kFeaturesOk);
    lab.device.describe(lab.queue(), lab.ring());
    lab.device.enable(lab.queue());
    lab.device.drive();
    lab.works();
}

// ---- resets

void reset_storm(Lab& lab) {
    if (!lab.up())
        return;
    lab.submit(lab.request());
    for (unsigned i = 0; i < 100; ++i)
        lab.device.set8(reg::kStatus, 0);
}

void reset_with_io_in_flight(Lab& lab) {
    for (unsigned i = 0; i < 5; ++i) {
        if (!lab.up())
            return;
        lab.submit(lab.request());
        if (!lab.expect(lab.device.reset(), "the reset does not end"))
            return;
    }
}

// A full ring is under way when the reset comes.
void reset_with_a_full_ring(Lab& lab) {
    for (unsigned i = 0; i < 5; ++i) {
        if (!lab.up())
            return;
        lab.fill(lab.request(), Lab::Kicks::One);
        if (!lab.expect(lab.device.reset(), "the reset does not end"))
            return;
    }
}

void registers_written_during_reset(Lab& lab) {
    for (unsigned i = 0; i < 5; ++i) {
        if (!lab.up())
            return;
        lab.submit(lab.request());
        lab.device.set8(reg::kStatus, 0);
        lab.device.set8(reg::kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
        lab.device.accept(~u64{0});
        lab.device.describe(lab.queue(), lab.ring());
        lab.device.enable(lab.queue());
        lab.device.set16(reg::kQueueReset, 1);
        lab.kick();
    }
}

void ring_freed_after_reset(Lab& lab) {
    for (unsigned i = 0; i < 5; ++i) {
        if (!lab.up())
            return;
        lab.submit(lab.request());
        if (!lab.expect(lab.device.reset(), "the reset does not end"))
            return;
        // From here on the memory is the driver's: nothing of the device may show up in it.
        lab.ring().clear(lab.ring_kind, 16);
        buffers.data[0] = 0x5a;
        for (unsigned k = 0; k < 200; ++k)
            pause();
        lab.expect(read32(lab.ring().device()) == 0 && buffers.data[0] == 0x5a,
                   "the device wrote after its reset");
    }
}

constexpr Case kCases[] = {
    {20, "features_not_offered", kNoRing, nullptr, features_not_offered},
    {20, "all_features", kNoRing, nullptr, all_features},
    {20, "no_version_1", kNoRing, nullptr, no_version_1},
    {20, "no_features", kNoRing, nullptr, no_features},
    {20, "feature_selector_beyond", kNoRing, nullptr, feature_selector_beyond},
    {20, "features_changed_after_features_ok", kNoRing, nullptr,
     features_changed_after_features_ok},
    {20, "features_changed_while_running", kBoth, nullptr, features_changed_while_running},
    {20, "each_feature_alone", kNoRing, nullptr, each_feature_alone},
    {20, "nothing_but_version_1", kBoth, nullptr, nothing_but_version_1},
    {1, "driver_ok_without_features_ok", kNoRing, nullptr, driver_ok_without_features_ok},
    {1, "all_status_bits_at_once", kNoRing, nullptr, all_bits_at_once},
    {1, "only_driver_ok", kNoRing, nullptr, only_driver_ok},
    {1, "status_bits_taken_back", kBoth, nullptr, status_bits_taken_back},
    {1, "failed_while_running", kBoth, nullptr, failed_while_running},
    {1, "failed_first", kNoRing, nullptr, failed_first},
    {1, "needs_reset_written", kBoth, nullptr, needs_reset_written},
    {1, "negotiated_again_without_reset", kBoth, nullptr, negotiated_again_without_reset},
    {10, "reset_storm", kBoth, nullptr, reset_storm},
    {10, "reset_with_io_in_flight", kBoth, nullptr, reset_with_io_in_flight},
    {10, "reset_with_a_full_ring", kBoth, nullptr, reset_with_a_full_ring},
    {10, "registers_written_during_reset", kBoth, nullptr, registers_written_during_reset},
    {10, "memory_taken_back_after_reset", kBoth, nullptr, ring_freed_after_reset},
};

}  // namespace

Cases status_cases() {
    return cases(kCases);
}

}  // namespace guest
