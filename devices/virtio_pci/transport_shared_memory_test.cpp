// SPDX-License-Identifier: Apache-2.0
// Shared memory regions: capability, BAR, what the guest has mapped.

#include "virtio_pci/transport_rig.hpp"

namespace vmm::virtio_pci {
namespace {

struct VirtioPciSharedMemoryTest : testing::Test {
    static constexpr std::uint64_t kLarge = 5ull << 30;  // nobody touches all of it

    struct Cap64 {
        std::uint8_t length = 0;
        std::uint8_t bar = 0;
        std::uint8_t id = 0;
        std::uint64_t offset = 0;
        std::uint64_t size = 0;
        bool operator==(const Cap64&) const = default;
    };
    std::vector<Cap64> capabilities() {
        std::vector<Cap64> found;
        for (unsigned at = mmio.read8(m.config(0x34)); at != 0; at = mmio.read8(m.config(at + 1)))
            if (mmio.read8(m.config(at)) == 0x09 && mmio.read8(m.config(at + 3)) == 8)
                found.push_back({.length = mmio.read8(m.config(at + 2)),
                                 .bar = mmio.read8(m.config(at + 4)),
                                 .id = mmio.read8(m.config(at + 5)),
                                 .offset = read64(at + 8, at + 16),
                                 .size = read64(at + 12, at + 20)});
        return found;
    }
    std::uint64_t read64(unsigned low, unsigned high) {
        return mmio.read32(m.config(low)) | std::uint64_t{mmio.read32(m.config(high))} << 32;
    }
    void window(std::uint8_t bar, std::uint32_t offset, std::uint32_t length) {
        const unsigned at = m.structures.at(5).at;
        mmio.write8(m.config(at + 4), bar);
        mmio.write32(m.config(at + 8), offset);
        mmio.write32(m.config(at + 12), length);
    }

    alignas(4096) std::array<std::byte, 4096> small{};
    alignas(4096) std::array<std::byte, 4096> large{};
    Machine<test::ScriptedDevice> m{{}, [this](test::ScriptedDevice& device) {
                                        device.shared = {
                                            {.id = 3, .memory = {small.data(), small.size()}},
                                            {.id = 0, .memory = {large.data(), kLarge}}};
                                    }};
    test::FakeIoBus& mmio = m.mmio;
};

TEST_F(VirtioPciSharedMemoryTest, EachRegionHasACapabilityWithAll64Bits) {
    EXPECT_THAT(capabilities(),
                ElementsAre(Cap64{24, 4, 3, 0, 0x1000}, Cap64{24, 4, 0, 0x20'0000, kLarge}));
}

TEST_F(VirtioPciSharedMemoryTest, BarIsPrefetchable64BitMemoryThatHoldsAllOfThem) {
    mmio.write32(m.config(0x20), 0xffff'ffff);
    mmio.write32(m.config(0x24), 0xffff'ffff);

    EXPECT_EQ(mmio.read32(m.config(0x20)), 0x0000'000cu);
    EXPECT_EQ(mmio.read32(m.config(0x24)), 0xffff'fffeu);  // 8 GiB
}

TEST_F(VirtioPciSharedMemoryTest, GuestHasTheMemoryWhileTheBarIsDecoded) {
    EXPECT_TRUE(m.layout.there.empty());

    m.decode();
    EXPECT_EQ(m.layout.find(kWindow64), small.data());
    EXPECT_EQ(m.layout.find(kWindow64 + 0x1000), nullptr);
    EXPECT_EQ(m.layout.find(kWindow64 + 0x20'0000), large.data());
    mmio.write16(m.config(4), 4);

    EXPECT_TRUE(m.layout.there.empty());
}

TEST_F(VirtioPciSharedMemoryTest, DoorbellsStayWhereTheRegistersAreWhenTheMemoryMoves) {
    m.start();

    mmio.write32(m.config(0x24), 0x12);

    EXPECT_EQ(m.layout.find(0x12'0000'0000), small.data());
    EXPECT_THAT(m.doorbells.connected, ElementsAre(Pair(kWindow + 0x2000, testing::_),
                                                   Pair(kWindow + 0x2004, testing::_)));
}

TEST_F(VirtioPciSharedMemoryTest, WindowInConfigurationSpaceReachesItWithoutDecoding) {
    const unsigned data = m.structures.at(5).at + 16;
    window(4, 0x10, 4);

    mmio.write32(m.config(data), 0x1122'3344);

    EXPECT_EQ(small[0x11], std::byte{0x33});
    EXPECT_EQ(mmio.read32(m.config(data)), 0x1122'3344u);
    window(4, 0x1000, 4);  // between the regions
    EXPECT_EQ(mmio.read32(m.config(data)), 0xffff'ffffu);
}

TEST_F(VirtioPciSharedMemoryTest, DeviceResetLeavesTheMemoryToTheGuest) {
    m.start();
    small[5] = std::byte{7};

    m.status(0);

    EXPECT_EQ(m.layout.find(kWindow64 + 5), &small[5]);
    EXPECT_EQ(small[5], std::byte{7});
}

TEST(VirtioPciWithoutSharedMemoryTest, HasNoBarForIt) {
    Machine<test::ScriptedDevice> m;

    m.mmio.write32(m.config(0x20), 0xffff'ffff);

    EXPECT_EQ(m.mmio.read32(m.config(0x20)), 0u);
}

}  // namespace
}  // namespace vmm::virtio_pci
