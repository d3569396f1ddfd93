// SPDX-License-Identifier: Apache-2.0
// MSI-X turned on, off and masked while the device runs: no interrupt is lost on the way.
#include "virtio_pci/transport_rig.hpp"
#include "virtio_support/device_rig.hpp"

namespace vmm::virtio_pci {
namespace {

struct VirtioPciSwitchTest : VirtioPciTest {
    static constexpr std::uint16_t kOff = 0;
    static constexpr std::uint16_t kOn = 0x8000;
    static constexpr std::uint16_t kFunctionMask = 0xc000;

    void msix(std::uint16_t control) { mmio.write16(m.config(0x42), control); }
    /// What the guest does on another CPU between the device's look at MSI-X and its signal.
    void on_signal(std::size_t vector, std::uint16_t control) {
        msi.vectors.at(vector)->before_signal = [this, control] { msix(control); };
    }
};

TEST_F(VirtioPciSwitchTest, TurnedOffJustBeforeTheSignalItIsThePin) {
    m.use_msix();
    m.start();
    on_signal(1, kOff);

    use_a_buffer();

    EXPECT_EQ(msi.delivered(1), 0);
    EXPECT_TRUE(m.line.high);
    EXPECT_EQ(m.isr(), 1u);
}

TEST_F(VirtioPciSwitchTest, TurnedOffBeforeTheSignalOfAConfigurationChangeItIsThePin) {
    m.use_msix();
    m.start();
    on_signal(0, kOff);

    device.link->needs_reset();

    EXPECT_TRUE(m.line.high);
    EXPECT_EQ(m.isr(), 2u);
}

TEST_F(VirtioPciSwitchTest, HeldBackByTheMaskAndThenTurnedOffItIsThePin) {
    m.use_msix();
    m.start();
    msix(kFunctionMask);
    use_a_buffer();
    device.link->update_config([] {});
    EXPECT_FALSE(m.line.high);

    msix(kOff);

    EXPECT_TRUE(m.line.high);
    EXPECT_EQ(m.isr(), 3u);
    msix(kOn);
    EXPECT_EQ(msi.delivered(0) + msi.delivered(1), 0);  // once is enough
}

TEST_F(VirtioPciSwitchTest, OnThePinAndThenTurnedOnItIsAMessage) {
    m.use_msix();
    m.start();
    msix(kOff);
    use_a_buffer_of(1);
    ASSERT_TRUE(m.line.high);

    msix(kOn);

    EXPECT_FALSE(m.line.high);
    EXPECT_EQ(msi.delivered(2), 1);
    EXPECT_EQ(msi.delivered(0), 0);
    EXPECT_EQ(m.isr(), 0u);
}

TEST_F(VirtioPciSwitchTest, MaskedJustBeforeTheSignalItWaitsForTheMaskToGo) {
    m.use_msix();
    m.start();
    on_signal(1, kFunctionMask);

    use_a_buffer();
    EXPECT_EQ(msi.delivered(1), 0);
    msix(kOn);

    EXPECT_EQ(msi.delivered(1), 1);
    EXPECT_FALSE(m.line.high);
}

TEST_F(VirtioPciSwitchTest, VectorsOfNobodyLeaveThePinAlone) {
    m.use_msix();
    m.start();
    msix(kFunctionMask);
    use_a_buffer();
    m.status(0);

    msix(kOff);

    EXPECT_FALSE(m.line.high);
    EXPECT_EQ(m.isr(), 0u);
}

// The same with a real other thread: whatever is on at the time, something is heard of each buffer.
TEST_F(VirtioPciSwitchTest, EachBufferIsHeardOfWhileTheGuestSwitches) {
    m.use_msix();
    m.start();
    std::atomic<bool> end = false;
    std::thread guest{[&] {
        for (unsigned i = 0; !end; ++i) {
            msix(i % 2 == 0 ? kOff : kOn);
            std::this_thread::sleep_for(
                std::chrono::microseconds{20});  // else nobody gets the lock
        }
    }};
    int missed = 0;
    for (int i = 0; i < 300; ++i) {
        const int before = msi.delivered(1);
        use_a_buffer();
        m.queues[0]->collect();
        const auto heard = [&] { return (m.isr() & 1) != 0 || msi.delivered(1) != before; };
        missed += test::DeviceRig::wait_until(heard) ? 0 : 1;
    }
    end = true;
    guest.join();

    EXPECT_EQ(missed, 0);
}

// What was on its way when the driver wrote 0 is not the next one's.
TEST_F(VirtioPciSwitchTest, InterruptsOfTheLastDriverEndWithTheDrain) {
    m.start();
    device.answers_at_once = false;
    m.status(0);
    m.queues[0]->add({{Gpa{0x80000}, 8, true}});
    if (device.queues[0].pop(chain))
        device.queues[0].complete(chain.head(), 8);
    device.queues[0].publish();

    device.link->reset_done();

    EXPECT_FALSE(m.line.high);
    EXPECT_EQ(m.isr(), 0u);
    EXPECT_EQ(m.status(), 0u);
    device.answers_at_once = true;
}

// The machine's own reset, in steps.
TEST_F(VirtioPciSwitchTest, EndOfAResetThatWasAskedForIsSignalled) {
    m.start();
    EXPECT_FALSE(m.released.drain());
    device.answers_at_once = false;

    m.transport->ask_reset();

    EXPECT_FALSE(m.transport->released());
    EXPECT_FALSE(m.released.drain());
    device.link->reset_done();
    EXPECT_TRUE(m.transport->released());
    EXPECT_TRUE(m.released.drain());
    m.transport->finish_reset();
    EXPECT_THAT(m.doorbells.connected, IsEmpty());
    EXPECT_EQ(m.status(), 0u);
    device.answers_at_once = true;
}

// Kicks of a driver that did not wait for the reset find their way, if not the fast one at first.
TEST_F(VirtioPciSwitchTest, StartAtTheEndOfADrainGetsItsDoorbells) {
    m.start();
    device.answers_at_once = false;
    m.status(0);
    m.start();
    EXPECT_THAT(m.doorbells.connected, IsEmpty());
    device.link->reset_done();

    mmio.write16(m.notify(1), 1);

    EXPECT_TRUE(device.queues[1].kick_event().drain());
    EXPECT_THAT(m.doorbells.connected,
                ElementsAre(Pair(m.notify(0), device.queues[0].kick_event().fd()),
                            Pair(m.notify(1), device.queues[1].kick_event().fd())));
    device.answers_at_once = true;
}

// A pause of the machine.

TEST_F(VirtioPciTest, PauseIsAskedForAndTold) {
    m.start();
    device.answers_at_once = false;

    m.transport->ask_pause();
    EXPECT_FALSE(m.transport->quiet());
    EXPECT_FALSE(m.released.drain());
    device.link->paused();

    EXPECT_TRUE(m.transport->quiet());
    EXPECT_TRUE(m.released.drain());
    device.answers_at_once = true;
    m.transport->resume();
    EXPECT_EQ(device.resumes, 1);
    use_a_buffer();
    EXPECT_TRUE(m.line.high);
}

// The last driver's requests end during the pause.
TEST_F(VirtioPciTest, DriverThatStartsOnResumeHasItsDoorbells) {
    m.start();
    device.answers_at_once = false;
    m.status(0);
    m.start();
    m.transport->ask_pause();
    device.link->reset_done();
    device.answers_at_once = true;
    EXPECT_TRUE(m.transport->quiet());
    EXPECT_EQ(device.activations, 1);

    m.transport->resume();

    EXPECT_EQ(device.activations, 2);
    EXPECT_EQ(m.doorbells.connected.size(), 2u);
}

}  // namespace
}  // namespace vmm::virtio_pci
