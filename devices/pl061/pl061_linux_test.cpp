// SPDX-License-Identifier: Apache-2.0
// A button as Linux sees it: gpio-pl061 takes the interrupt, gpio-keys reads the line once the
// contacts have come to rest, and the input layer passes on what has changed.
#include <string>

#include "pl061/pl061_rig.hpp"

namespace vmm {
namespace {

struct Pl061LinuxTest : Pl061Test {
    static constexpr unsigned kPower = 3;
    bool down = false;      // as the input layer knows the key
    bool work_due = false;  // the line is read some milliseconds after the last edge
    std::string events;     // + for down, - for up

    /// The drivers come up: both edges of the line.
    void probe() {
        outb(kIe, 0);
        outb(kDir, static_cast<unsigned>(in(kDir)) & ~8U);
        outb(kIs, static_cast<unsigned>(in(kIs)) & ~8U);
        outb(kIbe, static_cast<unsigned>(in(kIbe)) | 8U);
        outb(kIe, static_cast<unsigned>(in(kIe)) | 8U);
    }
    void report() {
        const bool now = in(data_of(kPower)) != 0;
        if (now != down)
            events += now ? '+' : '-';
        down = now;
    }
    /// Until nothing happens any more. False: the line has not come to rest.
    bool run() {
        for (int i = 0; i < 10; ++i) {
            if (irq.high) {
                if ((in(kMis)&8U) != 0) {
                    outb(kIc, 8);
                    work_due = true;
                }
            } else if (work_due) {
                work_due = false;
                report();
            } else {
                return true;
            }
        }
        return false;
    }
};

TEST_F(Pl061LinuxTest, PressIsADownAndAnUp) {
    probe();
    report();  // when somebody opens the input device

    device.press(kPower);
    EXPECT_TRUE(run());

    EXPECT_EQ(events, "+-");
}

TEST_F(Pl061LinuxTest, EachPressIsADownAndAnUp) {
    probe();

    for (int i = 0; i < 3; ++i) {
        device.press(kPower);
        EXPECT_TRUE(run());
    }

    EXPECT_EQ(events, "+-+-+-");
}

TEST_F(Pl061LinuxTest, PressWhileTheContactsComeToRestIsTheSamePress) {
    probe();
    device.press(kPower);
    outb(kIc, 8);
    work_due = true;

    device.press(kPower);
    EXPECT_TRUE(run());

    EXPECT_EQ(events, "+-");
}

TEST_F(Pl061LinuxTest, PressBeforeTheDriversIsFoundWhenTheDeviceIsOpened) {
    device.press(kPower);
    probe();
    EXPECT_TRUE(run());
    EXPECT_EQ(events, "");

    report();
    EXPECT_TRUE(run());

    EXPECT_EQ(events, "+-");
}

// Another CPU opens the input device while this one has not taken the interrupt yet.
TEST_F(Pl061LinuxTest, PressThatIsReadBeforeItsInterruptIsADownAndAnUp) {
    probe();
    device.press(kPower);

    report();
    EXPECT_TRUE(run());

    EXPECT_EQ(events, "+-");
}

TEST_F(Pl061LinuxTest, PolledButtonGoesDownAndUp) {
    device.press(kPower);

    for (int i = 0; i < 3; ++i)
        report();

    EXPECT_EQ(events, "+-");
}

TEST_F(Pl061LinuxTest, BusFindsAPl061) {
    std::uint64_t part = 0;
    std::uint64_t cell = 0;
    for (unsigned i = 0; i < 4; ++i) {
        part |= (in(0xfe0 + 4 * i, AccessSize::Dword) & 255u) << 8 * i;
        cell |= (in(0xff0 + 4 * i, AccessSize::Dword) & 255u) << 8 * i;
    }

    EXPECT_EQ(cell, 0xb105f00du);
    EXPECT_EQ(part, 0x00041061u);
}

}  // namespace
}  // namespace vmm
