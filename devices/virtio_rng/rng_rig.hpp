// SPDX-License-Identifier: Apache-2.0
// What the tests of the entropy device share: one that gives bytes which can be foreseen.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "support/fake_entropy.hpp"
#include "virtio_rng/rng.hpp"
#include "virtio_support/device_rig.hpp"

namespace vmm::test {

class RngTest : public testing::TestWithParam<RingKind> {
protected:
    void make(DeviceRig::Options how = {}) {
        how.kind = GetParam();
        device = std::move(
            virtio_rng::Rng::create({.name = "rng0", .queue_size = 128}, entropy).value());
        rig = std::make_unique<DeviceRig>(*device, how);
    }
    void start(DeviceRig::Options how = {}) {
        make(how);
        ASSERT_TRUE(rig->start());
    }

    /// Any chain, kicked; the length in the used ring, -1 if it does not come back.
    std::int64_t offer(const std::vector<Buffer>& chain) {
        const std::uint16_t id = rig->queue(0).add(chain);
        rig->kick(0);
        const auto used = rig->wait_used(0);
        return used && used->id == id ? std::int64_t{used->length} : -1;
    }
    std::int64_t ask(Gpa to, std::uint32_t bytes) { return offer({{to, bytes, true}}); }

    /// `count` bytes as FakeEntropy gives them, from the first one.
    static std::string foreseen(std::size_t count) {
        std::string bytes(count, '\0');
        for (std::size_t i = 0; i < count; ++i)
            bytes[i] = static_cast<char>(i % 255 + 1);
        return bytes;
    }

    FakeEntropy entropy;
    std::unique_ptr<virtio_rng::Rng> device;
    std::unique_ptr<DeviceRig> rig;
};

inline std::string ring_name(const testing::TestParamInfo<RingKind>& of) {
    return of.param == RingKind::Split ? "Split" : "Packed";
}

}  // namespace vmm::test
