// SPDX-License-Identifier: Apache-2.0
#include "pl011/pl011.hpp"

#include "pl011/pl011_rig.hpp"

namespace vmm {
namespace {

constexpr std::uint64_t kNothing = ~std::uint64_t{0};

// ---- power-on values and plain registers

TEST_F(Pl011Test, RegistersAfterPowerOn) {
    EXPECT_EQ(in(kDr), 0u);
    EXPECT_EQ(in(kRsr), 0u);
    EXPECT_EQ(in(kFr), 0x097u);  // empty both ways; CTS, DSR, DCD
    EXPECT_EQ(in(kIlpr), 0u);
    EXPECT_EQ(in(kIbrd), 0u);
    EXPECT_EQ(in(kFbrd), 0u);
    EXPECT_EQ(in(kLcrH), 0u);
    EXPECT_EQ(in(kCr), 0x300u);
    EXPECT_EQ(in(kIfls), 0x12u);
    EXPECT_EQ(in(kImsc), 0u);
    EXPECT_EQ(in(kRis), 0u);
    EXPECT_EQ(in(kMis), 0u);
    EXPECT_EQ(in(kDmacr), 0u);
    EXPECT_FALSE(irq.high);
}

TEST_F(Pl011Test, IdentificationIsThatOfRevisionR1p5) {
    EXPECT_EQ(in(0xfe0), 0x11u);
    EXPECT_EQ(in(0xfe4), 0x10u);
    EXPECT_EQ(in(0xfe8), 0x34u);
    EXPECT_EQ(in(0xfec), 0x00u);
    EXPECT_EQ(in(0xff0), 0x0du);
    EXPECT_EQ(in(0xff4), 0xf0u);
    EXPECT_EQ(in(0xff8), 0x05u);
    EXPECT_EQ(in(0xffc), 0xb1u);
}

TEST_F(Pl011Test, RegistersKeepTheirBitsAndNoOthers) {
    for (const unsigned at : {kIlpr, kIbrd, kFbrd, kLcrH, kCr, kIfls, kImsc, kDmacr})
        outl(at, 0xffffffff);

    EXPECT_EQ(in(kIlpr), 0xffu);
    EXPECT_EQ(in(kIbrd), 0xffffu);
    EXPECT_EQ(in(kFbrd), 0x3fu);
    EXPECT_EQ(in(kLcrH), 0xffu);
    EXPECT_EQ(in(kCr), 0xff87u);
    EXPECT_EQ(in(kIfls), 0x3fu);
    EXPECT_EQ(in(kImsc), 0x7ffu);
    EXPECT_EQ(in(kDmacr), 0x7u);
}

TEST_F(Pl011Test, StatusAndIdentificationIgnoreWrites) {
    for (const unsigned at : {kFr, kRis, kMis, 0xfe0U, 0xffcU})
        outl(at, 0x5555);

    EXPECT_EQ(in(kFr), 0x097u);
    EXPECT_EQ(in(kRis), 0u);
    EXPECT_EQ(in(kMis), 0u);
    EXPECT_EQ(in(0xfe0), 0x11u);
    EXPECT_EQ(in(0xffc), 0xb1u);
}

TEST_F(Pl011Test, RegisterIsReachedWithOneTwoAndFourBytes) {
    for (const auto size : {AccessSize::Byte, AccessSize::Word, AccessSize::Dword}) {
        outl(kIfls, 0x24, size);
        EXPECT_EQ(in(kIfls, size), 0x24u);
        outl(kIfls, 0x12, size);
    }
}

TEST_F(Pl011Test, DataIsReadWithOneTwoAndFourBytes) {
    open();
    type("abc");

    EXPECT_EQ(in(kDr, AccessSize::Byte), unsigned{'a'});
    EXPECT_EQ(in(kDr, AccessSize::Word), unsigned{'b'});
    EXPECT_EQ(in(kDr, AccessSize::Dword), unsigned{'c'});
}

TEST_F(Pl011Test, OnlyTheLowByteOfDataIsSent) {
    outl(kDr, 0x12345641);

    EXPECT_EQ(out.seen, "A");
}

TEST_F(Pl011Test, QuadwordAccessReadsAllOnesAndWritesNothing) {
    open();
    type("x");

    outl(kDr, 'A', AccessSize::Qword);
    outl(kImsc, 0, AccessSize::Qword);

    EXPECT_EQ(in(kDr, AccessSize::Qword), kNothing);
    EXPECT_THAT(out.seen, IsEmpty());
    EXPECT_EQ(in(kImsc), kRx | kRt);
    EXPECT_EQ(take(1), "x");
}

TEST_F(Pl011Test, OffsetBesideARegisterReadsAllOnesAndWritesNothing) {
    outl(kDr + 1, 'A', AccessSize::Byte);
    outl(kCr + 2, 0, AccessSize::Word);

    EXPECT_EQ(in(kFr + 1, AccessSize::Byte), kNothing);
    EXPECT_EQ(in(0xfe1, AccessSize::Byte), kNothing);
    EXPECT_EQ(in(0xfff, AccessSize::Byte), kNothing);
    EXPECT_THAT(out.seen, IsEmpty());
    EXPECT_EQ(in(kCr), 0x300u);
}

TEST_F(Pl011Test, ReservedOffsetsReadAllOnesAndWriteNothing) {
    for (const unsigned at : {0x08U, 0x1cU, 0x4cU, 0x80U, 0x8cU, 0xfdcU}) {
        outl(at, 0xffff);
        EXPECT_EQ(in(at), kNothing);
    }
    EXPECT_EQ(in(kIcr), kNothing);  // write only
    EXPECT_THAT(out.seen, IsEmpty());
}

TEST_F(Pl011Test, ResetRestoresPowerOnValuesAndLowersTheLine) {
    for (const unsigned at : {kIlpr, kIbrd, kFbrd, kDmacr})
        outl(at, 0xff);
    outl(kCr, 0xff80 | kLoopBack);
    outl(kImsc, 0x7ff);
    send("ab");
    outl(kIfls, 0x24);
    EXPECT_TRUE(irq.high);

    device.reset();

    EXPECT_FALSE(irq.high);
    Pl011 unused{irq, out};
    for (const unsigned at :
         {kDr, kRsr, kFr, kIlpr, kIbrd, kFbrd, kLcrH, kCr, kIfls, kImsc, kRis, kMis, kDmacr})
        EXPECT_EQ(in(at), unused.read({.offset = at, .size = AccessSize::Dword})) << at;
}

// ---- transmitter

TEST_F(Pl011Test, ByteIsSentWithoutAnythingEnabled) {
    outl(kCr, 0);

    send("early");

    EXPECT_EQ(out.seen, "early");
    EXPECT_EQ(in(kFr)&0xf8u, 0x90u);
}

TEST_F(Pl011Test, TransmitterIsBusyWhileTheHostTakesNothing) {
    out.room = 1;

    send("ab");

    EXPECT_EQ(out.seen, "a");
    EXPECT_EQ(in(kFr)&0xf8u, 0x38u);  // busy, full, and the receiver is empty
}

TEST_F(Pl011Test, TransmitterIsFullWithThirtyTwoBytes) {
    outl(kLcrH, kFifos);
    out.room = 0;

    send(std::string(31, 'x'));
    EXPECT_EQ(in(kFr)&0xf8u, 0x18u);
    send("x");

    EXPECT_EQ(in(kFr)&0xf8u, 0x38u);
}

TEST_F(Pl011Test, RoomAtTheHostEmptiesTheFifoInOrder) {
    outl(kLcrH, kFifos);
    out.room = 0;
    send("0123456789abcdefghijklmnopqrstuv");
    out.room = 5;

    device.on_room();
    EXPECT_EQ(out.seen, "01234");
    send("wxy");  // the ring in memory wraps here
    out.room = 100;
    device.on_room();

    EXPECT_EQ(out.seen, "0123456789abcdefghijklmnopqrstuvwxy");
    EXPECT_EQ(in(kFr)&0xf8u, 0x90u);
}

TEST_F(Pl011Test, BytesBeyondAFullFifoAreLostAndCounted) {
    outl(kLcrH, kFifos);
    out.room = 0;
    send("0123456789abcdefghijklmnopqrstuvXYZ");
    EXPECT_EQ(out.lost, 3u);
    out.room = 100;

    device.on_room();

    EXPECT_EQ(out.seen, "0123456789abcdefghijklmnopqrstuv");
    EXPECT_EQ(out.lost, 3u);
}

TEST_F(Pl011Test, WithoutFifosOnlyOneByteWaits) {
    out.room = 0;
    send("ab");
    out.room = 100;

    device.on_room();

    EXPECT_EQ(out.seen, "a");
    EXPECT_EQ(out.lost, 1u);
}

TEST_F(Pl011Test, WhatWaitsAtTheEndIsKnownAndCounted) {
    outl(kLcrH, kFifos);
    EXPECT_FALSE(device.has_output());
    out.room = 2;
    send("last words");
    EXPECT_TRUE(device.has_output());

    EXPECT_EQ(device.drop_output(), 8u);

    EXPECT_FALSE(device.has_output());
    EXPECT_EQ(device.drop_output(), 0u);
}

TEST_F(Pl011Test, WhatWaitsAtAResetIsCounted) {
    outl(kLcrH, kFifos);
    out.room = 0;
    send("lost");

    device.reset();

    EXPECT_EQ(out.lost, 4u);
    EXPECT_FALSE(device.has_output());
}

TEST_F(Pl011Test, TurningFifosOffFlushesBoth) {
    open();
    out.room = 0;
    send("lost");
    type("typed");

    outl(kLcrH, 0x60);
    out.room = 100;
    device.on_room();

    EXPECT_THAT(out.seen, IsEmpty());
    EXPECT_EQ(in(kFr)&0xf8u, 0x90u);
    EXPECT_FALSE(irq.high);
}

TEST_F(Pl011Test, TurningFifosOnKeepsWhatWaits) {
    outl(kImsc, kRx);
    out.room = 0;
    send("a");
    type("x");

    outl(kLcrH, kFifos);
    send("b");
    out.room = 100;
    device.on_room();

    EXPECT_EQ(out.seen, "ab");
    EXPECT_EQ(take(1), "x");
}

TEST_F(Pl011Test, RewritingLineControlKeepsWhatWaits) {
    open();
    out.room = 0;
    send("out");
    type("in");

    outl(kLcrH, 0x10);
    out.room = 100;
    device.on_room();

    EXPECT_EQ(out.seen, "out");
    EXPECT_EQ(take(2), "in");
}

// ---- the transmitter's interrupt

TEST_F(Pl011Test, TransmitInterruptIsNotThereBeforeAByteHasLeft) {
    outl(kImsc, kTx);
    EXPECT_FALSE(irq.high);

    send("a");

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(in(kMis), kTx);
}

TEST_F(Pl011Test, TransmitInterruptStaysWhileTheFifoIsAtOrBelowItsLevel) {
    outl(kLcrH, kFifos);
    outl(kImsc, kTx);

    send("abc");

    EXPECT_THAT(irq.changes, ElementsAre(true));
}

TEST_F(Pl011Test, TransmitInterruptFallsWhenClearedAndRisesWithTheNextByte) {
    outl(kImsc, kTx);
    send("a");

    outl(kIcr, kTx);
    EXPECT_EQ(in(kRis), 0u);
    EXPECT_FALSE(irq.high);
    send("b");

    EXPECT_TRUE(irq.high);
}

TEST_F(Pl011Test, WithoutFifosAByteThatWaitsLowersTheTransmitInterrupt) {
    outl(kImsc, kTx);
    out.room = 1;
    send("a");

    send("b");
    EXPECT_FALSE(irq.high);
    out.room = 1;
    device.on_room();

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(out.seen, "ab");
}

struct Pl011Levels : Pl011Test, testing::WithParamInterface<std::array<unsigned, 2>> {};

INSTANTIATE_TEST_SUITE_P(All, Pl011Levels,
                         testing::Values(std::array{0U, 4U}, std::array{1U, 8U},
                                         std::array{2U, 16U}, std::array{3U, 24U},
                                         std::array{4U, 28U}, std::array{7U, 28U}));

TEST_P(Pl011Levels, TransmitInterruptRisesAtItsLevelAndFallsAboveIt) {
    const auto [select, level] = GetParam();
    outl(kLcrH, kFifos);
    outl(kIfls, select);
    outl(kImsc, kTx);
    out.room = 0;
    send(std::string(32, 'x'));

    out.room = 32 - level - 1;
    device.on_room();
    EXPECT_FALSE(irq.high);
    out.room = 1;
    device.on_room();
    EXPECT_TRUE(irq.high);
    out.room = 0;
    send("y");

    EXPECT_FALSE(irq.high);
}

TEST_P(Pl011Levels, ReceiveInterruptRisesAtItsLevelAndFallsBelowIt) {
    const auto [select, level] = GetParam();
    open();
    outl(kIfls, select << 3U);
    outl(kImsc, kRx);

    type(std::string(level - 1, 'x'));
    EXPECT_FALSE(irq.high);
    type("x");
    EXPECT_TRUE(irq.high);
    take(1);

    EXPECT_FALSE(irq.high);
}

TEST_F(Pl011Test, LowerTransmitLevelThanWhatWaitsTakesTheInterruptBack) {
    outl(kLcrH, kFifos);
    outl(kImsc, kTx);
    out.room = 1;
    send("0123456789");
    EXPECT_TRUE(irq.high);

    outl(kIfls, 0x10);  // four bytes

    EXPECT_FALSE(irq.high);
}

TEST_F(Pl011Test, FlushedTransmitterRaisesItsInterrupt) {
    outl(kLcrH, kFifos);
    outl(kImsc, kTx);
    out.room = 0;
    send(std::string(20, 'x'));
    EXPECT_FALSE(irq.high);

    outl(kLcrH, 0);

    EXPECT_TRUE(irq.high);
}

TEST_F(Pl011Test, RoomWithNothingToSendDoesNothing) {
    outl(kImsc, kTx);

    device.on_room();

    EXPECT_THAT(irq.changes, IsEmpty());
}

}  // namespace
}  // namespace vmm
