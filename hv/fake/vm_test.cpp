// SPDX-License-Identifier: Apache-2.0
#include "fake/vm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

namespace vmm::fake {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(FakeVcpuTest, ScriptComesOutInOrderAndAnswersAreKept) {
    Vcpu vcpu;
    vcpu.plan({out(0x3f8, 'A'), In{0x3fd}, hv::exit::TripleFault{}});

    const auto first = vcpu.run();
    const auto second = vcpu.run();
    std::get<hv::exit::PortIn>(*second).data[0] = std::byte{0x60};
    const auto third = vcpu.run();

    EXPECT_EQ(std::get<hv::exit::PortOut>(*first).port, 0x3f8);
    EXPECT_TRUE(std::holds_alternative<hv::exit::TripleFault>(*third));
    EXPECT_THAT(vcpu.answers(), ElementsAre(ElementsAre(std::byte{0x60})));
}

TEST(FakeVcpuTest, OutCarriesItsBytes) {
    Vcpu vcpu;
    vcpu.plan({out(0x80, 0x1234, AccessSize::Word)});

    const auto exit = vcpu.run();

    EXPECT_THAT(std::get<hv::exit::PortOut>(*exit).data,
                ElementsAre(std::byte{0x34}, std::byte{0x12}));
}

TEST(FakeVcpuTest, AnswerCountsOnceIoIsCompleted) {
    Vcpu vcpu;
    vcpu.plan({MmioRead{Gpa{0x1000}, 2}});
    const auto exit = vcpu.run();
    std::get<hv::exit::MmioRead>(*exit).data[1] = std::byte{7};

    const auto done = vcpu.complete_io();

    EXPECT_TRUE(done && *done);
    EXPECT_THAT(vcpu.answers(), ElementsAre(ElementsAre(std::byte{0}, std::byte{7})));
}

TEST(FakeVcpuTest, KickBeforeRunEndsTheNextRunOnce) {
    Vcpu vcpu;
    vcpu.plan({hv::exit::Halt{}});
    vcpu.kick();
    vcpu.kick();

    const auto first = vcpu.run();
    const auto second = vcpu.run();

    EXPECT_TRUE(std::holds_alternative<hv::exit::Interrupted>(*first));
    EXPECT_TRUE(std::holds_alternative<hv::exit::Halt>(*second));
}

TEST(FakeVcpuTest, KickWakesAVcpuAtTheEndOfItsScript) {
    Vcpu vcpu;
    std::atomic<bool> interrupted = false;
    std::thread thread{[&] {
        const auto exit = vcpu.run();
        interrupted = std::holds_alternative<hv::exit::Interrupted>(*exit);
    }};
    const bool idle = vcpu.wait_until_idle();

    vcpu.kick();
    thread.join();

    EXPECT_TRUE(idle);
    EXPECT_TRUE(interrupted);
    EXPECT_EQ(vcpu.record().interruptions, 1U);
}

TEST(FakeVcpuTest, WaitGivesUpWhenNobodyRunsTheScript) {
    Vcpu vcpu;
    vcpu.plan({hv::exit::Halt{}});

    EXPECT_FALSE(vcpu.wait_until_idle(1ms));
}

TEST(FakeVcpuTest, HostFailureIsAnError) {
    Vcpu vcpu;
    vcpu.plan({HostFailure{EFAULT}});

    const auto exit = vcpu.run();

    ASSERT_FALSE(exit);
    EXPECT_EQ(exit.error().os_error(), EFAULT);
}

TEST(FakeVcpuTest, ActionRunsInsideTheGuest) {
    Vcpu vcpu;
    vcpu.plan({Action{[&] { vcpu.kick(); }}, hv::exit::Halt{}});

    const auto exit = vcpu.run();

    EXPECT_TRUE(std::holds_alternative<hv::exit::Interrupted>(*exit));
}

TEST(FakeVmTest, PlanMadeBeforeTheVcpuIsItsScript) {
    Vm vm;
    vm.plan(1, {hv::exit::Halt{}});

    const auto vcpu = vm.create_vcpu(1);
    const auto exit = (*vcpu)->run();

    EXPECT_TRUE(std::holds_alternative<hv::exit::Halt>(*exit));
    EXPECT_EQ(vm.vcpu(1), vcpu->get());
}

TEST(FakeVmTest, ScriptedWriteToADoorbellIsNoExit) {
    Vm vm;
    auto bell = EventFd::create();
    vm.plan(0, {MmioWrite{Gpa{0x2000}, little_endian(3, 2)}, hv::exit::Halt{}});
    const auto vcpu = vm.create_vcpu(0);
    ASSERT_TRUE(vm.connect({.at = 0x2000, .size = 2, .match = 3}, bell->fd()));

    const auto exit = (*vcpu)->run();

    EXPECT_TRUE(std::holds_alternative<hv::exit::Halt>(*exit));
    EXPECT_TRUE(bell->drain());
}

TEST(FakeVmTest, DoorbellOfAnotherValueOrWidthDoesNotRing) {
    Vm vm;
    auto bell = EventFd::create();
    ASSERT_TRUE(vm.connect({.at = 0x2000, .size = 2, .match = 3}, bell->fd()));

    EXPECT_FALSE(vm.ring(DoorbellAddress::Space::Mmio, 0x2000, 2, 4));
    EXPECT_FALSE(vm.ring(DoorbellAddress::Space::Mmio, 0x2000, 4, 3));
    EXPECT_FALSE(vm.ring(DoorbellAddress::Space::Port, 0x2000, 2, 3));
    EXPECT_FALSE(bell->drain());
}

TEST(FakeVmTest, LinesOfOnePinAreAWiredOr) {
    Vm vm;
    const auto a = vm.irq_line(hv::Gsi{16});
    const auto b = vm.irq_line(hv::Gsi{16});

    (*a)->set(true);
    (*b)->set(true);
    (*a)->set(false);
    const bool still_high = vm.is_high(hv::Gsi{16});
    (*b)->set(false);

    EXPECT_TRUE(still_high);
    EXPECT_THAT(vm.level_changes(), ElementsAre(Vm::LevelChange{hv::Gsi{16}, true},
                                                Vm::LevelChange{hv::Gsi{16}, false}));
}

TEST(FakeVmTest, SignalOfAMaskedVectorIsDeliveredWhenUnmasked) {
    Vm vm;
    const MsiMessage message{0xfee0'0000, 0x41};
    const auto vector = vm.allocate();
    (*vector)->signal();
    const auto before = vm.delivered();

    ASSERT_TRUE((*vector)->unmask(message));

    EXPECT_THAT(before, IsEmpty());
    EXPECT_THAT(vm.delivered(), ElementsAre(message));
    EXPECT_THAT(vm.unmasked(), ElementsAre(message));
}

TEST(FakeVmTest, OverlappingRamIsRefused) {
    Vm vm;
    const MemoryRegion low{.range = {Gpa{0}, 0x2000}};
    const MemoryRegion inside{.range = {Gpa{0x1000}, 0x1000}};
    ASSERT_TRUE(vm.memory_added(low));

    EXPECT_FALSE(vm.memory_added(inside));
    vm.memory_removed(low);
    EXPECT_TRUE(vm.memory_added(inside));
}

struct FakeMemoryTest : testing::Test {
    /// `kind` of memory at 0x1000.
    std::unique_ptr<hv::x86::Vcpu> vcpu_beside(MemoryKind kind) {
        EXPECT_TRUE(vm.memory_added(
            {.range = {Gpa{0x1000}, bytes.size()}, .host = bytes.data(), .kind = kind}));
        return *vm.create_vcpu(0);
    }

    Vm vm;
    std::array<std::byte, 0x1000> bytes{};
};

TEST_F(FakeMemoryTest, RamAndDeviceMemoryAreAccessedWithoutAnExit) {
    const auto vcpu = vcpu_beside(MemoryKind::Device);
    vm.plan(0, {MmioWrite{Gpa{0x1ffe}, little_endian(0x1234, 2)}, MmioRead{Gpa{0x1ffe}, 2},
                out(0x80, 0)});

    const auto exit = vcpu->run();

    ASSERT_TRUE(exit);
    EXPECT_TRUE(std::holds_alternative<hv::exit::PortOut>(*exit));
    EXPECT_EQ(bytes[0xffe], std::byte{0x34});
    EXPECT_THAT(vm.vcpu(0)->answers(), ElementsAre(little_endian(0x1234, 2)));
}

TEST_F(FakeMemoryTest, RomIsReadWithoutAnExitAndAWriteExits) {
    bytes[4] = std::byte{0x5a};
    const auto vcpu = vcpu_beside(MemoryKind::Rom);
    vm.plan(0, {MmioRead{Gpa{0x1004}, 1}, MmioWrite{Gpa{0x1004}, little_endian(0xff, 1)}});

    const auto exit = vcpu->run();

    ASSERT_TRUE(exit);
    EXPECT_TRUE(std::holds_alternative<hv::exit::MmioWrite>(*exit));
    EXPECT_EQ(bytes[4], std::byte{0x5a});
    EXPECT_THAT(vm.vcpu(0)->answers(), ElementsAre(Bytes{std::byte{0x5a}}));
    EXPECT_THAT(vm.ram(), IsEmpty());
}

TEST_F(FakeMemoryTest, AccessThatLeavesMemoryExits) {
    const auto vcpu = vcpu_beside(MemoryKind::Ram);
    vm.plan(0, {MmioRead{Gpa{0x1fff}, 2}});

    const auto exit = vcpu->run();

    ASSERT_TRUE(exit);
    EXPECT_TRUE(std::holds_alternative<hv::exit::MmioRead>(*exit));
}

TEST_F(FakeMemoryTest, NothingBecomesPrivate) {
    const MemoryRegion region{.range = {Gpa{0}, 0x2000}};

    EXPECT_FALSE(vm.privacy_changed(region, region.range, Privacy::Private));
    EXPECT_TRUE(vm.privacy_changed(region, region.range, Privacy::Shared));
}

}  // namespace
}  // namespace vmm::fake
