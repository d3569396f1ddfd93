// SPDX-License-Identifier: Apache-2.0
// The I/O APIC of machines with wide APIC ids, against a recorded kernel.
#include "kvm/x86_64/io_apic.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvm/recording_kernel.hpp"
#include "kvm/x86_64/vm.hpp"

namespace vmm::kvm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t kLevel = 1U << 15;
constexpr std::uint32_t kMasked = 1U << 16;
constexpr std::uint32_t kRemoteIrr = 1U << 14;
constexpr std::uint32_t kLogical = 1U << 11;

struct KvmIoApicTest : testing::Test {
    KvmIoApicTest() { routes.drop_pins(); }

    void select(std::uint8_t number) {
        apic.write({.offset = 0, .size = AccessSize::Dword}, number);
    }
    std::uint32_t get(std::uint8_t number) {
        select(number);
        return static_cast<std::uint32_t>(apic.read({.offset = 0x10, .size = AccessSize::Dword}));
    }
    void set(std::uint8_t number, std::uint32_t value) {
        select(number);
        apic.write({.offset = 0x10, .size = AccessSize::Dword}, value);
    }
    /// As Linux writes an entry: destination first.
    void set_entry(std::uint8_t pin, std::uint32_t high, std::uint32_t low) {
        set(static_cast<std::uint8_t>(0x11 + 2 * pin), high);
        set(static_cast<std::uint8_t>(0x10 + 2 * pin), low);
    }

    RecordingKernel kernel;
    Handle vm{UniqueFd{}, kernel};
    const bool wide = true;
    IrqRoutes routes{vm, x86_routes(wide)};
    IoApic apic{vm, routes};
};

TEST_F(KvmIoApicTest, PowerOnStateIsMaskedAndHas24Pins) {
    EXPECT_EQ(get(0), 0U);
    EXPECT_EQ(get(1), 0x0017'0020U);
    for (unsigned pin = 0; pin < 24; ++pin) {
        EXPECT_EQ(get(static_cast<std::uint8_t>(0x10 + 2 * pin)), kMasked);
        EXPECT_EQ(get(static_cast<std::uint8_t>(0x11 + 2 * pin)), 0U);
    }
    EXPECT_EQ(get(0x40), 0U);  // after the last pin
}

TEST_F(KvmIoApicTest, EdgeIsAMessageWithAllBitsOfTheDestination) {
    set_entry(4, 0x2c02'0000, 0x31);  // 300: low 8 bits at 63:56, the others from 49 on

    apic.set_pin(4, true);
    apic.set_pin(4, true);
    apic.set_pin(4, false);

    EXPECT_THAT(kernel.take(), ElementsAre("message 0x100:0xfee2c000:0x31"));
}

TEST_F(KvmIoApicTest, LogicalLowestPriorityKeepsItsModes) {
    set_entry(4, 0x0300'0000, kLogical | 0x131);

    apic.set_pin(4, true);

    EXPECT_THAT(kernel.take(), ElementsAre("message 0x0:0xfee03004:0x131"));
}

TEST_F(KvmIoApicTest, EdgeAtAMaskedPinIsLost) {
    set_entry(4, 0, kMasked | 0x31);
    apic.set_pin(4, true);
    set_entry(4, 0, 0x31);

    EXPECT_THAT(kernel.take(), IsEmpty());
}

TEST_F(KvmIoApicTest, LevelIsSentOncePerEndOfInterruptWhileItIsHigh) {
    set_entry(9, 0, kLevel | 0x39);
    EXPECT_THAT(kernel.take(), ElementsAre("routes 9->0x0:0xfee00000:0xc039"));

    apic.set_pin(9, true);
    apic.set_pin(9, true);
    EXPECT_THAT(kernel.take(), ElementsAre("message 0x0:0xfee00000:0xc039"));
    EXPECT_EQ(get(0x22), kLevel | kRemoteIrr | 0x39);

    apic.end_of_interrupt(0x38);  // another one's
    EXPECT_THAT(kernel.take(), IsEmpty());
    apic.end_of_interrupt(0x39);
    EXPECT_THAT(kernel.take(), ElementsAre("message 0x0:0xfee00000:0xc039"));

    apic.set_pin(9, false);
    apic.end_of_interrupt(0x39);
    EXPECT_THAT(kernel.take(), IsEmpty());
    EXPECT_EQ(get(0x22), kLevel | 0x39);
}

TEST_F(KvmIoApicTest, LevelThatRoseWhileMaskedIsSentWhenUnmasked) {
    set_entry(9, 0, kMasked | kLevel | 0x39);
    apic.set_pin(9, true);
    EXPECT_THAT(kernel.take(), IsEmpty());

    set(0x22, kLevel | 0x39);

    EXPECT_THAT(kernel.take(),
                ElementsAre("routes 9->0x0:0xfee00000:0xc039", "message 0x0:0xfee00000:0xc039"));
}

TEST_F(KvmIoApicTest, RouteOfAMaskedPinStaysUntilItsInterruptHasEnded) {
    set_entry(9, 0, kLevel | 0x39);
    apic.set_pin(9, true);
    kernel.take();

    set(0x22, kMasked | kLevel | 0x39);
    EXPECT_THAT(kernel.take(), IsEmpty());
    apic.end_of_interrupt(0x39);

    EXPECT_THAT(kernel.take(), ElementsAre("routes"));
}

TEST_F(KvmIoApicTest, GuestCanEndAnInterruptByRegisterOrByMakingItEdgeTriggered) {
    set_entry(9, 0, kLevel | 0x39);
    apic.set_pin(9, true);
    apic.set_pin(9, false);

    apic.write({.offset = 0x40, .size = AccessSize::Dword}, 0x39);
    EXPECT_EQ(get(0x22) & kRemoteIrr, 0U);

    apic.set_pin(9, true);
    apic.set_pin(9, false);
    EXPECT_EQ(get(0x22) & kRemoteIrr, kRemoteIrr);
    set(0x22, kMasked | 0x39);
    set(0x22, kLevel | 0x39);
    EXPECT_EQ(get(0x22) & kRemoteIrr, 0U);
}

TEST_F(KvmIoApicTest, ReadOnlyBitsStayAsTheyAre) {
    set(0x22, kLevel | kRemoteIrr | 1U << 12 | 0x39);

    EXPECT_EQ(get(0x22), kLevel | 0x39);
}

TEST_F(KvmIoApicTest, ResetMasksAllPinsAndTakesTheirRoutes) {
    set_entry(9, 0x0100'0000, kLevel | 0x39);
    set(0, 0x0500'0000);
    apic.set_pin(9, true);
    kernel.take();

    apic.reset();

    EXPECT_THAT(kernel.take(), ElementsAre("routes"));
    EXPECT_EQ(get(0), 0U);
    EXPECT_EQ(get(0x22), kMasked);
    apic.end_of_interrupt(0x39);
    EXPECT_THAT(kernel.take(), IsEmpty());
}

TEST_F(KvmIoApicTest, OtherAccessesReadAllOnesAndChangeNothing) {
    EXPECT_EQ(apic.read({.offset = 0x20, .size = AccessSize::Dword}), ~std::uint64_t{0});
    EXPECT_EQ(apic.read({.offset = 0x10, .size = AccessSize::Byte}), ~std::uint64_t{0});
    select(0x18);
    apic.write({.offset = 0x10, .size = AccessSize::Byte}, 0);

    EXPECT_EQ(get(0x18), kMasked);
}

// KVM's table changes with the pins' routes and keeps the devices' own messages.
TEST_F(KvmIoApicTest, RoutesOfPinsAndOfMessagesLieInOneTable) {
    kernel.answers[KVM_CHECK_EXTENSION] = 4096;
    const auto vector = routes.allocate().value();
    ASSERT_TRUE(vector->unmask({0xfee0'1000, 0x41}));
    kernel.take();

    set_entry(16, 0, kLevel | 0x51);

    EXPECT_THAT(kernel.take(),
                ElementsAre("routes 16->0x0:0xfee00000:0xc051 24->0x0:0xfee01000:0x41"));
}

}  // namespace
}  // namespace vmm::kvm
