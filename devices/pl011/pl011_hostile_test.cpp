// SPDX-License-Identifier: Apache-2.0
// A guest that means no good.
#include "pl011/pl011_rig.hpp"

namespace vmm {
namespace {

TEST_F(Pl011Test, HostileAccessesKeepTheFifosBounded) {
    constexpr std::array kRegisters{kDr,   kRsr,  kFr,  kIlpr, kIbrd, kFbrd,  kLcrH, kCr,
                                    kIfls, kImsc, kRis, kMis,  kIcr,  kDmacr, 0x80U, 0xfe1U};
    std::minstd_rand random{1};  // NOLINT(bugprone-random-generator-seed): the same on every run
    for (int i = 0; i < 200'000; ++i) {
        const auto what = static_cast<unsigned>(random());
        out.room = what % 7 == 0 ? 3 : 0;
        if (what % 3 == 0)
            outl(kRegisters[(what >> 4U) % 16], what >> 8U);
        else
            in(kRegisters[(what >> 4U) % 16]);
        ASSERT_LE(type("0123456789abcdefghijklmnopqrstuvwxyz"), 32u);
        if (what % 5 == 0)
            device.on_room();
        ASSERT_EQ(irq.high, in(kMis) != 0);
    }

    device.reset();

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(in(kFr), 0x097u);
    out.room = 1;
    send("!");
    EXPECT_EQ(out.seen.back(), '!');
}

// Each change of the line is a call into the host.
TEST_F(Pl011Test, NoAccessMovesTheLineMoreThanOnce) {
    open();
    outl(kImsc, 0x7ff);
    std::minstd_rand random{2};  // NOLINT(bugprone-random-generator-seed): the same on every run
    for (int i = 0; i < 100'000; ++i) {
        const auto what = static_cast<unsigned>(random());
        out.room = what % 64;
        irq.changes.clear();
        switch (what % 4) {
            case 0:
                in((what >> 4U) % 20 * 4);
                break;
            case 1:
                type(std::string((what >> 4U) % 40, 'x'));
                break;
            case 2:
                device.on_room();
                break;
            default:
                outl((what >> 4U) % 20 * 4, what >> 8U);
                break;
        }
        ASSERT_LE(irq.changes.size(), 1u);
    }
}

TEST_F(Pl011Test, LongOutputWithEveryInterruptCallsTheHostOnce) {
    outl(kLcrH, kFifos);
    outl(kImsc, 0x7ff);

    send(std::string(10'000, 'x'));

    EXPECT_EQ(out.seen.size(), 10'000u);
    EXPECT_THAT(irq.changes, ElementsAre(true));
}

}  // namespace
}  // namespace vmm
