// SPDX-License-Identifier: Apache-2.0
// Kicks by port I/O.

#include "virtio_pci/transport_rig.hpp"

namespace vmm::virtio_pci {
namespace {

struct VirtioPciPortsTest : testing::Test {
    Machine<test::ScriptedDevice> m{{.ports = true}};
    test::FakeIoBus& mmio = m.mmio;
    test::ScriptedDevice& device = m.device;

    void decode(std::uint16_t command) { mmio.write16(m.config(4), command | 4); }  // bus master
    bool kicked(std::size_t queue) { return device.queues[queue].kick_event().drain(); }

    static constexpr std::uint16_t kIo = 1;
    static constexpr std::uint16_t kMemory = 2;
};

// A driver takes the first structure of a type that it can use.
TEST_F(VirtioPciPortsTest, PortsComeBeforeMemory) {
    std::vector<int> bars;
    for (unsigned at = mmio.read8(m.config(0x34)); at != 0; at = mmio.read8(m.config(at + 1)))
        if (mmio.read8(m.config(at)) == 0x09 && mmio.read8(m.config(at + 3)) == 2)
            bars.push_back(mmio.read8(m.config(at + 4)));

    EXPECT_THAT(bars, ElementsAre(2, 0));
}

TEST_F(VirtioPciPortsTest, BarIsOfPortsAndHoldsAllQueues) {
    mmio.write32(m.config(0x18), 0xffff'ffff);

    EXPECT_EQ(mmio.read32(m.config(0x18)), 0xffff'fff9u);  // 8 ports: two queues
}

TEST_F(VirtioPciPortsTest, DoorbellsAreAtThePortsWhileTheseAreDecoded) {
    m.start();
    EXPECT_THAT(m.doorbells.connected, ElementsAre(Pair(kWindow + 0x2000, testing::_),
                                                   Pair(kWindow + 0x2004, testing::_)));

    decode(kIo | kMemory);

    EXPECT_THAT(m.doorbells.connected,
                ElementsAre(Pair(kPorts, device.queues[0].kick_event().fd()),
                            Pair(kPorts + 4, device.queues[1].kick_event().fd())));

    decode(kMemory);

    EXPECT_THAT(m.doorbells.connected, ElementsAre(Pair(kWindow + 0x2000, testing::_),
                                                   Pair(kWindow + 0x2004, testing::_)));
    EXPECT_FALSE(m.doorbells.wrong);
}

TEST_F(VirtioPciPortsTest, EitherPlaceKicksByWayOfTheBusToo) {
    m.doorbells.refuse = true;
    m.start();
    decode(kIo | kMemory);

    m.io.write16(kPorts + 4, 1);
    EXPECT_FALSE(kicked(0));
    EXPECT_TRUE(kicked(1));

    mmio.write16(kWindow + 0x2000, 0);
    EXPECT_TRUE(kicked(0));
    EXPECT_FALSE(kicked(1));
}

TEST_F(VirtioPciPortsTest, Row25DoorbellsMoveWithThePorts) {
    m.start();
    decode(kIo | kMemory);

    mmio.write32(m.config(0x18), kPorts + 0x100);

    EXPECT_THAT(m.doorbells.connected,
                ElementsAre(Pair(kPorts + 0x100, testing::_), Pair(kPorts + 0x104, testing::_)));
    EXPECT_FALSE(m.doorbells.wrong);
}

TEST_F(VirtioPciPortsTest, Row27NothingIsReadAndOddPlacesDoNothing) {
    m.start();
    decode(kIo | kMemory);

    EXPECT_EQ(m.io.read16(kPorts), 0xffffu);
    m.io.write8(kPorts + 1, 0);
    m.io.write16(kPorts + 2, 0);
    m.io.write8(kPorts + 7, 1);

    EXPECT_FALSE(kicked(0));
    EXPECT_FALSE(kicked(1));
}

TEST_F(VirtioPciPortsTest, WindowInConfigurationSpaceReachesThem) {
    m.start();
    const unsigned window = m.structures.at(5).at;

    mmio.write8(m.config(window + 4), 2);
    mmio.write32(m.config(window + 8), 4);
    mmio.write32(m.config(window + 12), 2);
    mmio.write16(m.config(window + 16), 1);
    EXPECT_TRUE(kicked(1));
    EXPECT_EQ(mmio.read16(m.config(window + 16)), 0xffffu);

    mmio.write32(m.config(window + 8), 8);  // behind the last one
    mmio.write16(m.config(window + 16), 1);
    EXPECT_FALSE(kicked(0));
    EXPECT_FALSE(kicked(1));
}

// The Rust crate virtio-drivers takes the first structure of the type, and gives up on ports.
TEST_F(VirtioPciTest, WithoutPortsTheOnlyStructureForKicksLiesInMemory) {
    std::vector<int> bars;
    for (unsigned at = mmio.read8(m.config(0x34)); at != 0; at = mmio.read8(m.config(at + 1)))
        if (mmio.read8(m.config(at)) == 0x09 && mmio.read8(m.config(at + 3)) == 2)
            bars.push_back(mmio.read8(m.config(at + 4)));

    EXPECT_THAT(bars, ElementsAre(0));
}

TEST_F(VirtioPciTest, WithoutPortsThereIsNoSuchBar) {
    mmio.write32(m.config(0x18), 0xffff'ffff);

    EXPECT_EQ(mmio.read32(m.config(0x18)), 0u);
}

}  // namespace
}  // namespace vmm::virtio_pci
