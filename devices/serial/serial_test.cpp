// SPDX-License-Identifier: Apache-2.0
#include "serial/serial.hpp"

#include "serial/serial_rig.hpp"

namespace vmm {
namespace {

// ---- power-on values and plain registers

TEST_F(SerialTest, RegistersAfterPowerOn) {
    EXPECT_EQ(in(kData), 0u);
    EXPECT_EQ(in(kIer), 0u);
    EXPECT_EQ(in(kIir), 0x01u);
    EXPECT_EQ(in(kLcr), 0u);
    EXPECT_EQ(in(kMcr), 0u);
    EXPECT_EQ(in(kLsr), 0x60u);
    EXPECT_EQ(in(kMsr), 0xb0u);
    EXPECT_EQ(in(kScr), 0u);
    EXPECT_FALSE(irq.high);
}

TEST_F(SerialTest, InterruptEnableKeepsItsLowFourBits) {
    outb(kIer, 0xff);

    EXPECT_EQ(in(kIer), 0x0fu);
}

TEST_F(SerialTest, LineControlKeepsAllBits) {
    outb(kLcr, 0xff);

    EXPECT_EQ(in(kLcr), 0xffu);
}

TEST_F(SerialTest, ModemControlKeepsItsLowFiveBits) {
    outb(kMcr, 0xff);

    EXPECT_EQ(in(kMcr), 0x1fu);
}

TEST_F(SerialTest, ScratchKeepsAllBits) {
    outb(kScr, 0xa5);

    EXPECT_EQ(in(kScr), 0xa5u);
}

TEST_F(SerialTest, StatusRegistersIgnoreWrites) {
    outb(kLsr, 0xff);
    outb(kMsr, 0xff);

    EXPECT_EQ(in(kLsr), 0x60u);
    EXPECT_EQ(in(kMsr), 0xb0u);
}

TEST_F(SerialTest, DivisorLatchHidesBehindDlab) {
    outb(kLcr, 0x80);
    outb(kData, 0x34);
    outb(kIer, 0x12);

    EXPECT_EQ(in(kData), 0x34u);
    EXPECT_EQ(in(kIer), 0x12u);
    EXPECT_THAT(out.seen, IsEmpty());

    outb(kLcr, 0x03);

    EXPECT_EQ(in(kIer), 0x00u);
}

TEST_F(SerialTest, DivisorIsOneAfterPowerOn) {
    outb(kLcr, 0x80);

    EXPECT_EQ(in(kData), 1u);
    EXPECT_EQ(in(kIer), 0u);
}

TEST_F(SerialTest, WordAccessReadsAllOnesAndWritesNothing) {
    constexpr Access wide{.offset = kData, .size = AccessSize::Word};

    device.write(wide, 0x4141);

    EXPECT_EQ(device.read(wide), ~std::uint64_t{0});
    EXPECT_THAT(out.seen, IsEmpty());
}

TEST_F(SerialTest, DwordAccessToScratchWritesNothing) {
    device.write({.offset = kScr, .size = AccessSize::Dword}, 0x55);

    EXPECT_EQ(in(kScr), 0u);
}

TEST_F(SerialTest, OffsetBehindTheRegistersReadsAllOnes) {
    outb(8, 0x41);

    EXPECT_EQ(in(8), ~std::uint64_t{0});
    EXPECT_THAT(out.seen, IsEmpty());
}

TEST_F(SerialTest, ResetRestoresPowerOnValuesAndLowersTheLine) {
    outb(kFcr, 0xc1);
    outb(kIer, 0x0f);
    outb(kLcr, 0x83);
    outb(kData, 0x77);
    outb(kLcr, 0x03);
    outb(kScr, 0x99);
    type("abc");
    outb(kMcr, 0x1f);

    device.reset();

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(in(kIer), 0u);
    EXPECT_EQ(in(kIir), 0x01u);
    EXPECT_EQ(in(kLcr), 0u);
    EXPECT_EQ(in(kMcr), 0u);
    EXPECT_EQ(in(kLsr), 0x60u);
    EXPECT_EQ(in(kMsr), 0xb0u);
    EXPECT_EQ(in(kScr), 0u);
    outb(kLcr, 0x80);
    EXPECT_EQ(in(kData), 1u);
}

// ---- transmitter

TEST_F(SerialTest, WrittenByteReachesTheHostAtOnce) {
    send("Hi");

    EXPECT_EQ(out.seen, "Hi");
    EXPECT_EQ(in(kLsr), 0x60u);
}

TEST_F(SerialTest, TransmitterIsBusyWhileTheHostTakesNothing) {
    out.room = 1;

    send("ab");

    EXPECT_EQ(out.seen, "a");
    EXPECT_EQ(in(kLsr), 0x00u);
}

TEST_F(SerialTest, RoomAtTheHostEmptiesTheFifoInOrder) {
    outb(kFcr, 0x01);
    out.room = 0;
    send("0123456789abcdef");
    out.room = 5;

    device.on_room();
    EXPECT_EQ(out.seen, "01234");
    EXPECT_EQ(in(kLsr), 0x00u);
    send("ghi");  // the ring in memory wraps here
    out.room = 100;
    device.on_room();

    EXPECT_EQ(out.seen, "0123456789abcdefghi");
    EXPECT_EQ(in(kLsr), 0x60u);
}

TEST_F(SerialTest, BytesBeyondAFullFifoAreLost) {
    outb(kFcr, 0x01);
    out.room = 0;
    send("0123456789abcdefXYZ");
    EXPECT_EQ(out.lost, 3u);
    out.room = 100;

    device.on_room();

    EXPECT_EQ(out.seen, "0123456789abcdef");
    EXPECT_EQ(out.lost, 3u);
}

TEST_F(SerialTest, WhatWaitsAtTheEndIsKnownAndCounted) {
    outb(kFcr, 0x01);
    EXPECT_FALSE(device.has_output());
    out.room = 2;
    send("last words");
    EXPECT_TRUE(device.has_output());

    EXPECT_EQ(device.drop_output(), 8u);

    EXPECT_FALSE(device.has_output());
    EXPECT_EQ(device.drop_output(), 0u);
}

TEST_F(SerialTest, WhatWaitsAtAResetIsCounted) {
    outb(kFcr, 0x01);
    out.room = 0;
    send("lost");

    device.reset();

    EXPECT_EQ(out.lost, 4u);
    EXPECT_FALSE(device.has_output());
}

TEST_F(SerialTest, WithoutFifosOnlyOneByteWaits) {
    out.room = 0;
    send("ab");
    out.room = 100;

    device.on_room();

    EXPECT_EQ(out.seen, "a");
}

TEST_F(SerialTest, RoomWithNothingToSendDoesNothing) {
    outb(kIer, 0x02);
    in(kIir);
    irq.changes.clear();

    device.on_room();

    EXPECT_THAT(irq.changes, IsEmpty());
}

TEST_F(SerialTest, ClearingTheTransmitFifoForgetsItsBytes) {
    outb(kFcr, 0x01);
    out.room = 0;
    send("lost");

    outb(kFcr, 0x05);
    out.room = 100;
    device.on_room();

    EXPECT_THAT(out.seen, IsEmpty());
    EXPECT_EQ(in(kLsr), 0x60u);
}

TEST_F(SerialTest, EnablingTheSourceWhileEmptyRaisesTheInterrupt) {
    outb(kIer, 0x02);

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(in(kIir), 0x02u);
    EXPECT_FALSE(irq.high);
    EXPECT_EQ(in(kIir), 0x01u);
}

TEST_F(SerialTest, EnablingTheSourceAgainRaisesItAgain) {
    outb(kIer, 0x02);
    in(kIir);
    outb(kIer, 0x00);

    outb(kIer, 0x02);

    EXPECT_EQ(in(kIir), 0x02u);
}

TEST_F(SerialTest, RewritingTheSameEnableBitsRaisesNothing) {
    outb(kIer, 0x02);
    in(kIir);

    outb(kIer, 0x03);

    EXPECT_FALSE(irq.high);
}

TEST_F(SerialTest, EnablingTheSourceWhileBusyWaitsForTheTransmitter) {
    out.room = 0;
    send("a");

    outb(kIer, 0x02);
    EXPECT_FALSE(irq.high);
    out.room = 1;
    device.on_room();

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(in(kIir), 0x02u);
}

TEST_F(SerialTest, EachWrittenByteMakesANewEdge) {
    outb(kIer, 0x02);

    send("a");

    EXPECT_THAT(irq.changes, ElementsAre(true, false, true));
}

TEST_F(SerialTest, WritingTheDataClearsTheInterruptUntilItIsSent) {
    outb(kIer, 0x02);
    out.room = 0;

    send("a");

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(in(kIir), 0x01u);
}

// ---- receiver

TEST_F(SerialTest, ReceivedByteIsReadyAndReadOnce) {
    outb(kIer, 0x01);

    EXPECT_EQ(type("x"), 1u);

    EXPECT_EQ(in(kLsr), 0x61u);
    EXPECT_EQ(in(kData), unsigned{'x'});
    EXPECT_EQ(in(kLsr), 0x60u);
}

TEST_F(SerialTest, WithoutFifosTheReceiverTakesOneByte) {
    outb(kIer, 0x01);

    EXPECT_EQ(type("xy"), 1u);
    EXPECT_EQ(in(kIir), 0x04u);
}

TEST_F(SerialTest, ReceiverTakesNoMoreThanTheFifoHolds) {
    outb(kFcr, 0x01);
    outb(kIer, 0x01);

    EXPECT_EQ(type("0123456789abcdefXYZ"), 16u);
    EXPECT_EQ(type("XYZ"), 0u);
    EXPECT_EQ(take(16), "0123456789abcdef");
    EXPECT_EQ(in(kLsr), 0x60u);
}

TEST_F(SerialTest, DrainedReceiverAsksForTheRest) {
    outb(kFcr, 0x01);
    outb(kIer, 0x01);
    type("0123456789abcdefXYZ");

    take(15);
    EXPECT_EQ(out.resumed, 0u);
    take(1);

    EXPECT_EQ(out.resumed, 1u);
}

TEST_F(SerialTest, DrainedReceiverAsksForNothingWhenAllWasTaken) {
    outb(kFcr, 0x01);
    outb(kIer, 0x01);
    type("abc");

    take(3);

    EXPECT_EQ(out.resumed, 0u);
}

TEST_F(SerialTest, InputBeforeTheGuestListensIsLeftWithTheHost) {
    EXPECT_EQ(type("early"), 0u);
    EXPECT_EQ(out.resumed, 0u);

    outb(kIer, 0x01);

    EXPECT_EQ(out.resumed, 1u);
}

TEST_F(SerialTest, PollingGuestIsListeningToo) {
    type("early");
    for (int i = 0; i < 15; ++i)
        in(kLsr);
    EXPECT_EQ(out.resumed, 0u);

    in(kLsr);

    EXPECT_EQ(out.resumed, 1u);
    EXPECT_EQ(type("early"), 1u);
}

TEST_F(SerialTest, WaitingForTheTransmitterIsNotPollingForInput) {
    type("early");
    out.room = 0;
    send("a");
    for (int i = 0; i < 100; ++i)
        in(kLsr);

    EXPECT_EQ(out.resumed, 0u);
}

TEST_F(SerialTest, TriggerLevelTellsDataFromTimeout) {
    outb(kFcr, 0x81);  // 8 bytes
    outb(kIer, 0x01);

    type("1234567");
    EXPECT_EQ(in(kIir), 0xccu);
    type("8");
    EXPECT_EQ(in(kIir), 0xc4u);
    take(1);
    EXPECT_EQ(in(kIir), 0xccu);
    take(7);
    EXPECT_EQ(in(kIir), 0xc1u);
    EXPECT_THAT(irq.changes, ElementsAre(true, false));
}

TEST_F(SerialTest, TriggerLevelOfFourteenBytes) {
    outb(kFcr, 0xc1);
    outb(kIer, 0x01);

    type("1234567890123");
    EXPECT_EQ(in(kIir), 0xccu);
    type("4");

    EXPECT_EQ(in(kIir), 0xc4u);
}

TEST_F(SerialTest, TriggerLevelOfFourBytes) {
    outb(kFcr, 0x41);
    outb(kIer, 0x01);

    type("123");
    EXPECT_EQ(in(kIir), 0xccu);
    type("4");

    EXPECT_EQ(in(kIir), 0xc4u);
}

TEST_F(SerialTest, ClearingTheReceiveFifoForgetsItsBytes) {
    outb(kFcr, 0x01);
    outb(kIer, 0x01);
    type("abc");

    outb(kFcr, 0x03);

    EXPECT_EQ(in(kLsr), 0x60u);
    EXPECT_FALSE(irq.high);
}

TEST_F(SerialTest, SwitchingFifosOffForgetsTheirBytes) {
    outb(kFcr, 0x01);
    outb(kIer, 0x01);
    type("abc");

    outb(kFcr, 0x00);

    EXPECT_EQ(in(kLsr), 0x60u);
    EXPECT_EQ(in(kIir), 0x01u);
}

TEST_F(SerialTest, FifoControlBitsWithoutEnableAreNotProgrammed) {
    outb(kFcr, 0xc0);

    EXPECT_EQ(in(kIir), 0x01u);
}

// ---- loop-back and modem lines

TEST_F(SerialTest, LoopBackConnectsTheModemLines) {
    outb(kMcr, 0x1a);  // as Linux probes: RTS and OUT2

    EXPECT_EQ(in(kMsr)&0xf0u, 0x90u);
}

TEST_F(SerialTest, LoopBackOfDataTerminalReadyAndOut1) {
    outb(kMcr, 0x15);

    EXPECT_EQ(in(kMsr)&0xf0u, 0x60u);
}

TEST_F(SerialTest, ModemStatusDeltasFallWhenRead) {
    outb(kMcr, 0x10);  // CTS, DSR and DCD fall

    EXPECT_EQ(in(kMsr), 0x0bu);
    EXPECT_EQ(in(kMsr), 0x00u);
}

TEST_F(SerialTest, RingDeltaMarksOnlyItsEnd) {
    outb(kMcr, 0x10);
    in(kMsr);

    outb(kMcr, 0x14);
    EXPECT_EQ(in(kMsr), 0x40u);
    outb(kMcr, 0x10);
    EXPECT_EQ(in(kMsr), 0x04u);
}

TEST_F(SerialTest, ModemStatusInterruptFallsWhenRead) {
    outb(kIer, 0x08);

    outb(kMcr, 0x10);
    EXPECT_TRUE(irq.high);
    EXPECT_EQ(in(kIir), 0x00u);
    in(kMsr);

    EXPECT_FALSE(irq.high);
}

TEST_F(SerialTest, LoopBackReturnsBytesAndSendsNone) {
    outb(kFcr, 0x01);
    outb(kMcr, 0x10);

    send("loop");

    EXPECT_EQ(take(4), "loop");
    EXPECT_THAT(out.seen, IsEmpty());
}

TEST_F(SerialTest, LoopBackOverrunKeepsTheFifo) {
    outb(kFcr, 0x01);
    outb(kMcr, 0x10);

    send("0123456789abcdefX");

    EXPECT_EQ(in(kLsr), 0x63u);
    EXPECT_EQ(in(kLsr), 0x61u);
    EXPECT_EQ(take(16), "0123456789abcdef");
    EXPECT_EQ(in(kLsr), 0x60u);
}

TEST_F(SerialTest, LoopBackOverrunWithoutFifosKeepsTheNewByte) {
    outb(kMcr, 0x10);

    send("ab");

    EXPECT_EQ(in(kLsr), 0x63u);
    EXPECT_EQ(in(kData), unsigned{'b'});
}

TEST_F(SerialTest, HostInputWaitsForTheEndOfLoopBack) {
    outb(kFcr, 0x01);
    outb(kIer, 0x01);
    outb(kMcr, 0x10);

    EXPECT_EQ(type("abc"), 0u);
    outb(kMcr, 0x00);

    EXPECT_EQ(out.resumed, 1u);
}

// ---- priorities

TEST_F(SerialTest, InterruptPriorityRunsFromLineStatusToModemStatus) {
    outb(kFcr, 0x01);
    outb(kMcr, 0x10);
    send("0123456789abcdefX");
    outb(kIer, 0x0f);

    EXPECT_EQ(in(kIir), 0xc6u);
    in(kLsr);
    EXPECT_EQ(in(kIir), 0xc4u);
    take(16);
    EXPECT_EQ(in(kIir), 0xc2u);
    EXPECT_EQ(in(kIir), 0xc0u);
    in(kMsr);
    EXPECT_EQ(in(kIir), 0xc1u);
    EXPECT_THAT(irq.changes, ElementsAre(true, false));
}

TEST_F(SerialTest, ReadingAHigherSourceLeavesTheTransmitterPending) {
    outb(kIer, 0x03);
    type("x");

    EXPECT_EQ(in(kIir), 0x04u);
    EXPECT_EQ(in(kIir), 0x04u);
    take(1);

    EXPECT_EQ(in(kIir), 0x02u);
}

// ---- a guest that means no good

TEST_F(SerialTest, HostileAccessesKeepTheFifosBounded) {
    std::minstd_rand random{1};  // NOLINT(bugprone-random-generator-seed): the same on every run
    for (int i = 0; i < 200'000; ++i) {
        const unsigned what = static_cast<unsigned>(random());
        out.room = what % 7 == 0 ? 3 : 0;
        if (what % 3 == 0)
            outb((what >> 4U) % 9, what >> 8U);
        else
            in((what >> 4U) % 9);
        ASSERT_LE(type("0123456789abcdefghij"), 16u);
        if (what % 5 == 0)
            device.on_room();
    }

    device.reset();

    EXPECT_FALSE(irq.high);
    EXPECT_EQ(in(kLsr), 0x60u);
    out.room = 1;
    send("!");
    EXPECT_EQ(out.seen.back(), '!');
}

}  // namespace
}  // namespace vmm
