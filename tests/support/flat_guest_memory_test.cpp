// SPDX-License-Identifier: Apache-2.0
#include "support/flat_guest_memory.hpp"

namespace vmm::test {
namespace {

TEST(FlatGuestMemoryTest, CopiesCrossFromOneStretchIntoTheNext) {
    FlatGuestMemory memory{GpaRange{Gpa{0x1000}, 0x1000}, GpaRange{Gpa{0x2000}, 0x1000}};

    ASSERT_TRUE(memory.write(Gpa{0x1ffe}, std::uint32_t{0x44332211}));

    EXPECT_EQ(memory.read<std::uint16_t>(Gpa{0x2000}), 0x4433);
    EXPECT_EQ(memory.read<std::uint32_t>(Gpa{0x1ffe}), 0x44332211U);
}

TEST(FlatGuestMemoryTest, RangeThatLeavesRamCopiesNothing) {
    FlatGuestMemory memory{0x1000};

    EXPECT_FALSE(memory.write(Gpa{0xffe}, std::uint32_t{0xffffffff}));

    EXPECT_EQ(memory.read<std::uint16_t>(Gpa{0xffe}), 0);
    EXPECT_FALSE(memory.read<std::uint64_t>(Gpa{~std::uint64_t{0} - 3}).has_value());
}

TEST(FlatGuestMemoryTest, ViewsEndWithTheirStretchAndIovecsGoOn) {
    const FlatGuestMemory memory{GpaRange{Gpa{0}, 0x1000}, GpaRange{Gpa{0x1000}, 0x1000}};
    std::array<iovec, 2> parts{};

    EXPECT_FALSE(memory.view(Gpa{0xff8}, 16));
    EXPECT_EQ(memory.host_iovecs(Gpa{0xff8}, 16, Transfer::FromGuest, std::span{parts}.first(1)),
              std::nullopt);
    EXPECT_EQ(memory.host_iovecs(Gpa{0xff8}, 16, Transfer::FromGuest, parts), 2U);
    EXPECT_EQ(parts[1].iov_len, 8U);
}

}  // namespace
}  // namespace vmm::test
