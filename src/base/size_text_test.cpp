// SPDX-License-Identifier: Apache-2.0
#include "vmm/size_text.hpp"

#include <gtest/gtest.h>

namespace vmm {
namespace {

TEST(SizeTextTest, UnitsFollowTheSize) {
    EXPECT_EQ(size_text(17), "17 bytes");
    EXPECT_EQ(size_text(1024), "1 KiB");
    EXPECT_EQ(size_text(512 << 20), "512 MiB");
    EXPECT_EQ(size_text(1536 << 20), "1.5 GiB");
    EXPECT_EQ(size_text(1025 << 20), "1025 MiB");  // not "1 GiB"
    EXPECT_EQ(size_text((64 << 20) + (4 << 10)), "65540 KiB");
    EXPECT_EQ(size_text(11'900'001), "11.3 MiB");
    EXPECT_EQ(size_text(~std::uint64_t{0}), "16777215 TiB");
}

}  // namespace
}  // namespace vmm
