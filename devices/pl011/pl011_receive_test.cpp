// SPDX-License-Identifier: Apache-2.0
// The receiver, from the host and in loop-back, and the modem lines.
#include "pl011/pl011_rig.hpp"

namespace vmm {
namespace {

// ---- receiver

TEST_F(Pl011Test, ReceivedByteIsReadOnce) {
    open();

    EXPECT_EQ(type("x"), 1u);

    EXPECT_EQ(in(kFr)&0xf8u, 0x80u);
    EXPECT_EQ(in(kDr), unsigned{'x'});
    EXPECT_EQ(in(kFr)&0xf8u, 0x90u);
    EXPECT_EQ(in(kDr), 0u);
}

TEST_F(Pl011Test, WithoutFifosTheReceiverTakesOneByte) {
    outl(kImsc, kRx);

    EXPECT_EQ(type("xy"), 1u);

    EXPECT_EQ(in(kFr)&0xf8u, 0xc0u);  // full
    EXPECT_EQ(in(kMis), kRx);
    take(1);
    EXPECT_EQ(in(kMis), 0u);
    EXPECT_EQ(out.resumed, 1u);
}

TEST_F(Pl011Test, ReceiverTakesNoMoreThanTheFifoHolds) {
    open();
    const std::string most(32, 'x');

    EXPECT_EQ(type(most + "yz"), 32u);
    EXPECT_EQ(type("yz"), 0u);

    EXPECT_EQ(in(kFr)&0xf8u, 0xc0u);
    EXPECT_EQ(take(32), most);
    EXPECT_EQ(in(kRis)&kOe, 0u);
}

TEST_F(Pl011Test, DrainedReceiverAsksForTheRest) {
    open();
    type(std::string(33, 'x'));

    take(31);
    EXPECT_EQ(out.resumed, 0u);
    take(1);

    EXPECT_EQ(out.resumed, 1u);
}

TEST_F(Pl011Test, DrainedReceiverAsksForNothingWhenAllWasTaken) {
    open();
    type("abc");

    take(3);

    EXPECT_EQ(out.resumed, 0u);
}

TEST_F(Pl011Test, InputBeforeTheGuestListensIsLeftWithTheHost) {
    outl(kCr, 0x301);
    EXPECT_EQ(type("early"), 0u);
    EXPECT_EQ(out.resumed, 0u);

    outl(kImsc, kRt);

    EXPECT_EQ(out.resumed, 1u);
}

TEST_F(Pl011Test, InputWaitsWhileTheReceiverIsDisabled) {
    open();
    outl(kCr, 0x101);
    EXPECT_EQ(type("early"), 0u);

    outl(kCr, 0x301);

    EXPECT_EQ(out.resumed, 1u);
}

TEST_F(Pl011Test, PollingGuestIsListeningToo) {
    type("early");
    for (int i = 0; i < 15; ++i)
        in(kFr);
    EXPECT_EQ(out.resumed, 0u);

    in(kFr);

    EXPECT_EQ(out.resumed, 1u);
    EXPECT_EQ(type("early"), 1u);
}

TEST_F(Pl011Test, WaitingForTheTransmitterIsNotPollingForInput) {
    type("early");
    out.room = 0;
    send("a");
    for (int i = 0; i < 100; ++i)
        in(kFr);

    EXPECT_EQ(out.resumed, 0u);
}

TEST_F(Pl011Test, GuestThatOnlyPrintsIsNotPollingForInput) {
    type("early");
    for (int i = 0; i < 100; ++i) {
        in(kFr);
        send("a");
        in(kFr);
    }

    EXPECT_EQ(out.resumed, 0u);
}

TEST_F(Pl011Test, TimeoutIsThereFromTheFirstByteToTheLast) {
    open();

    type("ab");
    EXPECT_EQ(in(kMis), kRt);
    take(1);
    EXPECT_EQ(in(kMis), kRt);
    take(1);

    EXPECT_EQ(in(kMis), 0u);
    EXPECT_THAT(irq.changes, ElementsAre(true, false));
}

TEST_F(Pl011Test, TimeoutComesBackWhenClearedWithBytesThatWait) {
    open();
    type("ab");

    outl(kIcr, 0x7ff);

    EXPECT_EQ(in(kMis), kRt);
    EXPECT_TRUE(irq.high);
}

TEST_F(Pl011Test, ClearedReceiveInterruptRisesWhenTheLevelIsReachedAgain) {
    open();
    outl(kImsc, kRx);
    type(std::string(16, 'x'));

    outl(kIcr, kRx);
    EXPECT_FALSE(irq.high);
    type("x");
    EXPECT_FALSE(irq.high);
    take(2);
    type("x");

    EXPECT_TRUE(irq.high);
}

TEST_F(Pl011Test, LowerReceiveLevelRaisesTheInterruptForWhatWaits) {
    open();
    outl(kImsc, kRx);
    type("abcd");
    EXPECT_FALSE(irq.high);

    outl(kIfls, 0x02);

    EXPECT_TRUE(irq.high);
}

TEST_F(Pl011Test, MaskHidesAnInterruptAndForgetsNone) {
    open();
    type("x");

    outl(kImsc, 0);
    EXPECT_FALSE(irq.high);
    EXPECT_EQ(in(kRis), kRt);
    EXPECT_EQ(in(kMis), 0u);
    outl(kImsc, kRt);

    EXPECT_TRUE(irq.high);
}

// ---- loop-back and modem lines

TEST_F(Pl011Test, LoopBackReturnsBytesAndSendsNone) {
    outl(kLcrH, kFifos);
    outl(kCr, kLoopBack);

    send("loop");

    EXPECT_EQ(take(4), "loop");
    EXPECT_THAT(out.seen, IsEmpty());
    EXPECT_EQ(in(kRis)&kTx, kTx);
}

TEST_F(Pl011Test, LoopBackWithoutReceiverLosesTheByte) {
    outl(kCr, 0x180);

    send("x");

    EXPECT_EQ(in(kFr)&0xf8u, 0x90u);
    EXPECT_THAT(out.seen, IsEmpty());
}

TEST_F(Pl011Test, HostInputWaitsForTheEndOfLoopBack) {
    open();
    outl(kCr, kLoopBack);

    EXPECT_EQ(type("abc"), 0u);
    outl(kCr, 0x301);

    EXPECT_EQ(out.resumed, 1u);
}

TEST_F(Pl011Test, OverrunKeepsTheFifoAndMarksTheNextByteRead) {
    outl(kLcrH, kFifos);
    outl(kCr, kLoopBack);
    outl(kImsc, kOe);
    send("0123456789abcdefghijklmnopqrstuv");
    EXPECT_FALSE(irq.high);

    send("X");

    EXPECT_TRUE(irq.high);
    EXPECT_EQ(in(kRsr), 0x8u);
    EXPECT_EQ(in(kDr), 0x800u | '0');
    EXPECT_EQ(in(kDr), unsigned{'1'});
    EXPECT_EQ(take(30), "23456789abcdefghijklmnopqrstuv");
}

TEST_F(Pl011Test, OverrunWithoutFifosKeepsTheOldByte) {
    outl(kCr, kLoopBack);

    send("ab");

    EXPECT_EQ(in(kDr), 0x800u | 'a');
    EXPECT_EQ(in(kFr)&0xf8u, 0x90u);
}

TEST_F(Pl011Test, OverrunStatusAndInterruptFallEachByItsOwnRegister) {
    outl(kCr, kLoopBack);
    send("ab");

    outl(kIcr, kOe);
    EXPECT_EQ(in(kRis)&kOe, 0u);
    EXPECT_EQ(in(kRsr), 0x8u);
    outl(kRsr, 0);

    EXPECT_EQ(in(kRsr), 0u);
}

TEST_F(Pl011Test, FlushForgetsTheOverrunOfTheBytes) {
    outl(kLcrH, kFifos);
    outl(kCr, kLoopBack);
    send(std::string(33, 'x'));

    outl(kLcrH, 0);
    send("y");

    EXPECT_EQ(in(kDr), unsigned{'y'});
}

TEST_F(Pl011Test, LoopBackConnectsTheModemLines) {
    const auto lines_with = [&](unsigned outputs) {
        outl(kCr, kLoopBack | outputs);
        return in(kFr)&0x107u;
    };

    EXPECT_EQ(lines_with(0), 0u);
    EXPECT_EQ(lines_with(0x0800), 0x001u);  // RTS: CTS
    EXPECT_EQ(lines_with(0x0400), 0x002u);  // DTR: DSR
    EXPECT_EQ(lines_with(0x1000), 0x004u);  // Out1: DCD
    EXPECT_EQ(lines_with(0x2000), 0x100u);  // Out2: RI
}

TEST_F(Pl011Test, ChangedModemLineRaisesItsInterruptUntilCleared) {
    outl(kImsc, kModem);

    outl(kCr, kLoopBack | 0x0c00);  // CTS and DSR stay, DCD falls
    EXPECT_EQ(in(kMis), 0x4u);
    outl(kIcr, 0x4);
    EXPECT_FALSE(irq.high);
    outl(kCr, kLoopBack | 0x2000);

    EXPECT_EQ(in(kMis), 0xbu);  // CTS and DSR fell, RI rose
}

TEST_F(Pl011Test, ModemOutputsWithoutLoopBackChangeNoLine) {
    outl(kCr, 0xff01);

    EXPECT_EQ(in(kFr)&0x107u, 0x007u);
    EXPECT_EQ(in(kRis), 0u);
}

}  // namespace
}  // namespace vmm
