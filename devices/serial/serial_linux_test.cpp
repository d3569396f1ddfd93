// SPDX-License-Identifier: Apache-2.0
// What Linux does to find out which UART this is.
#include "serial/serial_rig.hpp"

namespace vmm {
namespace {

// ---- what drivers do to find out what this is

TEST_F(SerialTest, LinuxFindsInterruptEnableBits) {
    outb(kIer, 0x00);
    const auto none = in(kIer);
    outb(kIer, 0x0f);
    const auto all = in(kIer);

    EXPECT_EQ(none, 0x00u);
    EXPECT_EQ(all, 0x0fu);
}

TEST_F(SerialTest, LinuxFindsA16550A) {
    outb(kFcr, 0x01);

    EXPECT_EQ(in(kIir) >> 6U, 3u);
}

TEST_F(SerialTest, LinuxFindsNoEnhancedFeatureRegister) {
    outb(kFcr, 0x01);
    outb(kLcr, 0x80);
    EXPECT_NE(in(2), 0u);
    outb(kLcr, 0xbf);

    EXPECT_NE(in(2), 0u);
}

TEST_F(SerialTest, LinuxFindsNo16750) {
    outb(kFcr, 0x21);
    const auto plain = in(kIir) >> 5U;
    outb(kFcr, 0x01);
    outb(kLcr, 0x80);
    outb(kFcr, 0x21);
    const auto with_dlab = in(kIir) >> 5U;

    EXPECT_EQ(plain, 6u);
    EXPECT_EQ(with_dlab, 6u);
}

TEST_F(SerialTest, LinuxMeasuresAFifoOfSixteen) {
    outb(kFcr, 0x01);
    outb(kFcr, 0x07);
    outb(kMcr, 0x10);
    for (unsigned i = 0; i < 256; ++i)
        outb(kData, i);

    unsigned count = 0;
    while ((in(kLsr)&1u) != 0 && count < 256) {
        in(kData);
        ++count;
    }

    EXPECT_EQ(count, 16u);
}

}  // namespace
}  // namespace vmm
