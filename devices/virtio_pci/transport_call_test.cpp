// SPDX-License-Identifier: Apache-2.0
// What raises a queue's interrupt, for those who serve it from outside.
#include "virtio_pci/transport_rig.hpp"

namespace vmm::virtio_pci {
namespace {

struct Calls final : virtio::CallObserver {
    struct Change {
        std::uint16_t queue = 0;
        int eventfd = -1;
        bool operator==(const Change&) const = default;
    };
    void call_changed(std::uint16_t queue, int eventfd) noexcept override {
        changes.push_back({queue, eventfd});
    }
    std::vector<Change> take() { return std::exchange(changes, {}); }

    std::vector<Change> changes;
};

struct HasCalls {
    Calls calls;  // outlives the transport
};

/// A driver with MSI-X and a device that somebody else serves.
struct CallTest : HasCalls, VirtioPciTest {
    CallTest() { device.link->observe_calls(calls); }

    int call(std::uint16_t queue) const { return device.link->call_fd(queue); }
    /// What vhost does when it has used a buffer.
    static void raise(int eventfd) {
        const std::uint64_t one = 1;
        EXPECT_EQ(::write(eventfd, &one, sizeof one), ssize_t{sizeof one});
    }
    void set_vector(std::uint16_t queue, std::uint16_t to) {
        m.select(queue);
        mmio.write16(m.common(kQueueVector), to);
    }
    void set_msix(std::uint16_t control) { mmio.write16(m.config(0x42), control); }
    void mask(unsigned vector, bool masked) { mmio.write32(m.table(vector, 12), masked ? 1 : 0); }
};

TEST_F(CallTest, QueueHasTheEventfdOfItsVector) {
    EXPECT_EQ(call(0), -1);

    m.use_msix();

    EXPECT_GE(call(0), 0);
    EXPECT_GE(call(1), 0);
    EXPECT_NE(call(0), call(1));
    EXPECT_THAT(calls.take(), ElementsAre(Calls::Change{0, call(0)}, Calls::Change{1, call(1)}));
}

TEST_F(CallTest, VectorThatMovesIsToldOnce) {
    m.use_msix();
    const int first = call(0);
    const int second = call(1);
    calls.take();

    set_vector(0, 2);
    set_vector(0, 2);

    EXPECT_EQ(call(0), second);
    EXPECT_THAT(calls.take(), ElementsAre(Calls::Change{0, second}));
    set_vector(0, 0xffff);
    EXPECT_THAT(calls.take(), ElementsAre(Calls::Change{0, -1}));
    set_vector(0, 1);
    EXPECT_THAT(calls.take(), ElementsAre(Calls::Change{0, first}));
}

TEST_F(CallTest, VectorThatIsNotThereIsNone) {
    m.use_msix();
    calls.take();

    set_vector(1, 77);

    EXPECT_EQ(call(1), -1);
    EXPECT_THAT(calls.take(), ElementsAre(Calls::Change{1, -1}));
}

// KVM finds what is in the eventfd when the irqfd is connected again.
TEST_F(CallTest, MaskKeepsTheEventfdAndWhatIsSignalledThere) {
    m.use_msix();
    m.start();
    calls.take();

    mask(1, true);
    raise(call(0));
    EXPECT_THAT(calls.take(), IsEmpty());
    EXPECT_EQ(msi.delivered(1), 0);
    EXPECT_EQ(mmio.read32(m.bar + 0x3800), 2u) << "the pending bit";
    mask(1, false);

    EXPECT_THAT(calls.take(), IsEmpty());
    EXPECT_EQ(msi.delivered(1), 1);
}

TEST_F(CallTest, IntxHasNoneAndComesByTheLink) {
    m.use_msix();
    m.start();
    const int first = call(0);
    const int second = call(1);
    calls.take();

    set_msix(0);

    EXPECT_THAT(calls.take(), ElementsAre(Calls::Change{0, -1}, Calls::Change{1, -1}));
    device.link->used_buffers(0);
    EXPECT_TRUE(m.line.high);
    EXPECT_EQ(m.isr(), 1u);
    set_msix(0x8000);
    EXPECT_THAT(calls.take(), ElementsAre(Calls::Change{0, first}, Calls::Change{1, second}));
}

TEST_F(CallTest, ResetTakesThemAll) {
    m.use_msix();
    m.start();
    calls.take();

    m.status(0);

    EXPECT_EQ(call(0), -1);
    EXPECT_THAT(calls.take(), ElementsAre(Calls::Change{0, -1}, Calls::Change{1, -1}));
}

TEST_F(CallTest, UsedBuffersGoByMessageWhereThereIsOne) {
    m.use_msix();
    m.start();

    device.link->used_buffers(1);

    EXPECT_EQ(msi.delivered(2), 1);
    EXPECT_EQ(msi.delivered(1), 0);
}

}  // namespace
}  // namespace vmm::virtio_pci
