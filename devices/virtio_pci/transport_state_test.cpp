// SPDX-License-Identifier: Apache-2.0
// A driver that goes on with the device of another machine, whose RAM is the same, and notices
// nothing; and states that lie.
#include <algorithm>
#include <array>
#include <string>

#include "support/saved_state.hpp"
#include "virtio_pci/transport_rig.hpp"

namespace vmm::virtio_pci {
namespace {

using test::restored;
using test::saved;
using test::State;
using testing::HasSubstr;
using Other = Machine<test::ScriptedDevice>;

struct TransportStateTest : VirtioPciTest {
    Other other{{}, {}, m.ram};

    static State transport_state(Other& of) {
        of.transport->ask_pause();
        return saved(*of.transport);
    }
    /// The device of `m` is gone after this, and its rings are the other's.
    void move_on() {
        const State transport = transport_state(m);
        const State bridge = saved(m.bridge);
        m.transport->ask_reset();
        ASSERT_EQ(restored(*other.transport, transport), "");
        ASSERT_EQ(restored(other.bridge, bridge), "");
        other.bar = m.bar;
    }
    void use_a_buffer_of_other(std::uint16_t queue) {
        m.queues[queue]->add({{Gpa{0x80000}, 8, true}});
        ASSERT_TRUE(other.device.queues[queue].pop(chain));
        other.device.queues[queue].complete(chain.head(), 8);
        other.device.queues[queue].publish();
    }
    void move_bar(std::uint64_t to) {
        mmio.write32(m.config(0x10), static_cast<std::uint32_t>(to));
        m.bar = to;
    }
    static void set_msix(Other& of, std::uint16_t control) {
        of.mmio.write16(Other::config(0x42), control);
    }
    static void mask(Other& of, unsigned vector, bool masked) {
        of.mmio.write32(of.table(vector, 12), masked ? 1 : 0);
    }
    std::vector<MsiMessage> messages(std::size_t vector) const {
        return other.msi.vectors.at(vector)->messages;
    }
};

TEST_F(TransportStateTest, RegistersReadTheSameWhereTheBarIs) {
    move_bar(kWindow + 0x80'0000);
    m.use_msix();
    m.start(RingKind::Packed);
    mmio.write32(m.common(kDeviceFeatureSelect), 1);
    mmio.write32(m.common(kDriverFeatureSelect), 1);
    m.select(1);
    std::vector<std::uint64_t> before;
    for (std::uint64_t at = 0; at < layout::kCommonSize; at += 2)
        before.push_back(mmio.read16(m.common(at)));

    move_on();

    std::vector<std::uint64_t> after;
    for (std::uint64_t at = 0; at < layout::kCommonSize; at += 2)
        after.push_back(other.mmio.read16(other.common(at)));
    EXPECT_EQ(after, before);
    EXPECT_EQ(other.status(), 15u);
    EXPECT_EQ(other.device.activations, 1);
    EXPECT_EQ(other.device.features_seen, device.features_seen);
}

TEST_F(TransportStateTest, UsedBufferRaisesTheVectorThatItsQueueHad) {
    m.use_msix();
    m.start();
    use_a_buffer();
    ASSERT_EQ(msi.delivered(1), 1);

    move_on();
    EXPECT_EQ(other.msi.delivered(1), 0);
    use_a_buffer_of_other(0);
    use_a_buffer_of_other(1);
    other.device.link->update_config_as_owner([] {});

    for (std::uint32_t i = 0; i < 3; ++i) {
        EXPECT_EQ(other.msi.delivered(i), 1) << i;
        EXPECT_THAT(messages(i), ElementsAre(MsiMessage{0xfee0'0000, 0x40 + i, 1 << 3}));
    }
}

TEST_F(TransportStateTest, QueueWithoutAVectorStaysWithoutOne) {
    m.use_msix();
    m.start();
    m.select(1);
    mmio.write16(m.common(kQueueVector), 0xffff);

    move_on();
    use_a_buffer_of_other(1);

    EXPECT_EQ(other.msi.delivered(2), 0);
    EXPECT_EQ(other.device.link->call_fd(1), -1);
    EXPECT_GE(other.device.link->call_fd(0), 0);
}

TEST_F(TransportStateTest, PendingVectorIsDeliveredWhenUnmasked) {
    m.use_msix();
    m.start();
    mask(m, 1, true);
    use_a_buffer();

    move_on();
    EXPECT_EQ(other.msi.delivered(1), 0);
    EXPECT_EQ(other.mmio.read32(other.bar + 0x3800), 2u);
    mask(other, 1, false);

    EXPECT_EQ(other.msi.delivered(1), 1);
    EXPECT_EQ(other.mmio.read32(other.bar + 0x3800), 0u);
}

TEST_F(TransportStateTest, PendingVectorComesByThePinIfMsixIsTurnedOff) {
    m.use_msix();
    m.start();
    mask(m, 1, true);
    use_a_buffer();

    move_on();
    EXPECT_FALSE(other.line.high);
    set_msix(other, 0);

    EXPECT_TRUE(other.line.high);
    EXPECT_EQ(other.isr(), 1u);
}

TEST_F(TransportStateTest, PinStaysHighUntilTheIsrIsRead) {
    m.start();
    use_a_buffer();
    ASSERT_TRUE(m.line.high);

    move_on();
    EXPECT_TRUE(other.line.high);
    EXPECT_EQ(other.isr(), 1u);

    EXPECT_FALSE(other.line.high);
    use_a_buffer_of_other(1);
    EXPECT_TRUE(other.line.high);
}

TEST_F(TransportStateTest, PinIsHighAtOnce) {
    m.start();
    use_a_buffer();

    ASSERT_EQ(restored(*other.transport, transport_state(m)), "");

    EXPECT_TRUE(other.line.high);
}

TEST_F(TransportStateTest, KicksRingWhereTheBarIs) {
    move_bar(kWindow + 0x80'0000);
    m.start();

    move_on();

    EXPECT_EQ(other.doorbells.connected.size(), 2u);
    EXPECT_TRUE(other.doorbells.ring(kWindow + 0x80'0000 + layout::kNotify + 4));
    EXPECT_TRUE(other.device.queues[1].kick_event().drain());
}

TEST_F(TransportStateTest, KicksRingIfTheBarWasThereBefore) {
    m.start();
    other.decode();

    move_on();

    EXPECT_TRUE(other.doorbells.ring(kWindow + layout::kNotify));
}

TEST_F(TransportStateTest, PausedDeviceStartsWithResume) {
    m.start();
    other.transport->ask_pause();

    move_on();
    EXPECT_EQ(other.device.activations, 0);
    EXPECT_EQ(other.doorbells.connected.size(), 0u);
    other.transport->resume();

    EXPECT_EQ(other.device.activations, 1);
    EXPECT_EQ(other.doorbells.connected.size(), 2u);
}

TEST_F(TransportStateTest, DriverThatTakesBusMasteringBackStopsTheDevice) {
    m.start();

    move_on();
    EXPECT_EQ(other.device.resets, 0);
    other.mmio.write16(other.config(4), 2);

    EXPECT_EQ(other.device.resets, 1);
}

TEST_F(TransportStateTest, DriverThatNeverMasteredTheBusGoesOnWhereAnotherOneDid) {
    m.command = 2;
    m.start();
    other.decode();

    move_on();

    EXPECT_EQ(other.device.resets, 0);
    EXPECT_EQ(other.status(), 15u);
}

// As vhost may that has not yet heard that MSI-X is off.
TEST_F(TransportStateTest, SignalThatCameAfterMsixWentWaitsUntilItIsBack) {
    m.use_msix();
    m.start();
    const int call = device.link->call_fd(0);
    set_msix(m, 0);
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(call, &one, sizeof one), ssize_t{sizeof one});
    other.use_msix();

    move_on();
    EXPECT_FALSE(other.line.high);
    set_msix(other, 0x8000);

    EXPECT_EQ(other.msi.delivered(1), 1);
}

TEST_F(TransportStateTest, ResetOfADriverThatWasRestoredLeavesNothing) {
    m.use_msix();
    m.start();
    move_on();

    other.status(0);

    EXPECT_EQ(other.status(), 0u);
    EXPECT_EQ(other.mmio.read16(other.common(kConfigVector)), 0xffffu);
    EXPECT_EQ(other.doorbells.connected.size(), 0u);
    EXPECT_FALSE(other.doorbells.wrong);
}

TEST_F(TransportStateTest, OtherDeviceIsRefused) {
    const State state = transport_state(m);
    Other block{{}, [](auto& body) { body.kind = virtio::DeviceType::Block; }};
    EXPECT_EQ(restored(*block.transport, state),
              "the state of the PCI function is wrong: field 'device id' is not that of this "
              "function");

    Other larger{{}, [](auto& body) { body.sizes = {64, 8, 8}; }};
    EXPECT_EQ(restored(*larger.transport, state),
              "the state of the MSI-X vectors is wrong: field 'number of vectors' is not that of "
              "this function");

    Other ports{{.ports = true}};
    EXPECT_THAT(restored(*ports.transport, state), HasSubstr("'kind of BAR 2'"));

    Other features{{}, [](auto& body) { body.own_features = 0; }};
    m.transport->ask_reset();
    m.decode();
    m.status(3);
    m.accept(virtio::f::kVersion1 | virtio::feature(3));
    m.status(11);
    EXPECT_EQ(restored(*features.transport, transport_state(m)),
              "the state of the virtio registers is wrong: field 'driver features' are not those "
              "of this device");
}

TEST_F(TransportStateTest, VectorsAndIsrAreChecked) {
    State state = transport_state(m);
    const auto with = [&](std::size_t from_end, unsigned value) {
        State changed = state;
        changed.at(changed.size() - from_end) = std::byte{static_cast<unsigned char>(value)};
        return restored(*other.transport, changed);
    };

    // Two bytes for each vector, the configuration's first, and the ISR.
    EXPECT_EQ(with(1, 4),
              "the state of the virtio transport is wrong: field 'ISR' is out of range");
    EXPECT_EQ(with(2, 0),
              "the state of the virtio transport is wrong: field 'vector of a queue' is not one "
              "of this function");
    EXPECT_THAT(with(7, 3), HasSubstr("'vector of the configuration' is not one"));
    state[0] = std::byte{9};
    EXPECT_EQ(restored(*other.transport, state),
              "the state of the virtio transport has version 9; this vmm reads versions 1 to 1");
}

TEST_F(TransportStateTest, RingsThatAreNotRamAreRefusedBeforeTheFunctionChanges) {
    m.use_msix();
    m.start();
    State state = transport_state(m);
    // Size 8, enabled, not reset, descriptors at 0x10000.
    const std::array<std::uint8_t, 8> queue{8, 0, 1, 0, 0, 0, 1, 0};
    const auto found = std::ranges::search(state, std::as_bytes(std::span{queue}));
    ASSERT_FALSE(found.empty());
    *(found.begin() + 4 + 7) = std::byte{0x80};
    const State before = saved(*other.transport);

    EXPECT_THAT(restored(*other.transport, state), HasSubstr("'queue addresses'"));

    EXPECT_EQ(saved(*other.transport), before);
    EXPECT_EQ(other.device.activations, 0);
}

TEST_F(TransportStateTest, WhileADriverRunsNothingIsRestored) {
    const State state = transport_state(other);
    m.use_msix();
    m.start();

    EXPECT_THAT(restored(*m.transport, state), HasSubstr("in use"));

    EXPECT_EQ(mmio.read16(m.config(4)), 6u);
    use_a_buffer();
    EXPECT_EQ(msi.delivered(1), 1);
}

TEST_F(TransportStateTest, TamperedStateIsRefusedAsAWhole) {
    m.use_msix();
    m.start();
    set_msix(m, 0xc000);
    other.transport->ask_pause();
    move_on();

    EXPECT_EQ(test::half_taken_states(*other.transport), 0u);

    set_msix(other, 0x8000);
    other.transport->resume();
    use_a_buffer_of_other(0);
    EXPECT_EQ(other.msi.delivered(1), 1);
    EXPECT_FALSE(other.doorbells.wrong);
}

}  // namespace
}  // namespace vmm::virtio_pci
