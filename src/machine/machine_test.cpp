// SPDX-License-Identifier: Apache-2.0
// Whole machines without a hypervisor: the PC on hv/fake, whose vCPUs follow scripts.
#include "machine/machine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "machine/machine_test_support.hpp"

namespace vmm::machine {
namespace {

using fake::In;
using fake::little_endian;
using fake::out;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

TEST_F(MachineTest, StartLoadsThePayloadAndEntersIt) {
    start();

    ASSERT_TRUE(idle());
    const auto record = vm->vcpu(0)->record();
    EXPECT_EQ(record.registers.rip, kEntry);
    EXPECT_FALSE(record.cpuid.empty());
    EXPECT_TRUE(vm->has_interrupt_controller());
    ASSERT_EQ(vm->ram().size(), 1u);
    EXPECT_EQ(vm->ram()[0].range.size, config.memory.size);
    EXPECT_EQ(std::memcmp(ram(kKernel), "KLMNOPQRSTUVWXYZ", 16), 0);
}

TEST_F(MachineTest, GuestPrintsIntoTheFileOfTheSerialPort) {
    start(print("hello\n"));

    ASSERT_TRUE(idle());
    machine->stop();
    EXPECT_THAT(machine->drain(10s), ElementsAre());
    EXPECT_EQ(read_back(), "hello\n");
}

TEST_F(MachineTest, WithoutASerialPortNobodyAnswersThere) {
    config.serial.mode = ConsoleMode::Off;
    start({In{kCom1 + 5}});

    ASSERT_TRUE(idle());
    EXPECT_THAT(vm->vcpu(0)->answers(), ElementsAre(little_endian(0xff, 1)));
}

TEST_F(MachineTest, ExitPortSaysItsValue) {
    config.debug_exit = kExitPort;
    start({out(kExitPort, 42)});

    EXPECT_EQ(event(), Event::TestExit);
    EXPECT_EQ(events->exit_value(), 42);
}

TEST_F(MachineTest, TripleFaultIsToldAndParksTheGuest) {
    start({hv::exit::TripleFault{}, out(kCom1, 'x')});

    EXPECT_EQ(event(), Event::TripleFault);
    machine->stop();
    machine->drain(10s);
    EXPECT_EQ(read_back(), "");
}

TEST_F(MachineTest, ResetIsAPowerOn) {
    start(print("one"));
    ASSERT_TRUE(idle());
    std::memset(ram(kKernel), 0xaa, 0x3000);
    std::memset(ram(32 << 20), 0xaa, 0x1000);

    vm->plan(0, print("two"));
    ASSERT_TRUE(reset());

    ASSERT_TRUE(idle());
    EXPECT_EQ(vm->resets(), 1u);
    EXPECT_EQ(vm->vcpu(0)->record().resets, 1u);
    EXPECT_EQ(vm->vcpu(0)->record().registers.rip, kEntry);
    EXPECT_EQ(std::memcmp(ram(kKernel), "KLMNOPQRSTUVWXYZ", 16), 0);
    EXPECT_EQ(*ram(kKernel + 0x2fff), std::byte{0}) << "the end of the segment is not zero";
    EXPECT_EQ(*ram(32 << 20), std::byte{0}) << "RAM kept its content";
    machine->stop();
    machine->drain(10s);
    EXPECT_EQ(read_back(), "onetwo");
}

TEST_F(MachineTest, HostCpuThatIsNotThereIsRefused) {
    config.cpus.affinity = {{0, {8191}}};

    const auto built = build();

    ASSERT_FALSE(built);
    EXPECT_THAT(built.error().one_line(), HasSubstr("host CPU 8191 does not exist"));
}

TEST_F(MachineTest, PausedGuestDoesNothingUntilItIsResumed) {
    start();
    ASSERT_TRUE(idle());
    machine->pause();
    vm->plan(0, print("later"));
    std::this_thread::sleep_for(20ms);
    EXPECT_FALSE(vm->vcpu(0)->wait_until_idle(0ms));

    machine->resume();

    ASSERT_TRUE(idle());
    machine->stop();
    machine->drain(10s);
    EXPECT_EQ(read_back(), "later");
}

TEST_F(MachineTest, DevicesAreFoundOnThePciBus) {
    config.pvpanic = true;
    constexpr std::uint16_t kConfigAddress = 0xcf8;
    constexpr std::uint16_t kConfigData = 0xcfc;
    std::vector<fake::Step> steps;
    for (std::uint32_t slot = 0; slot < 2; ++slot) {
        steps.push_back(out(kConfigAddress, 0x8000'0000u | slot << 11, AccessSize::Dword));
        steps.push_back(In{kConfigData, AccessSize::Dword});
    }
    start(std::move(steps));

    ASSERT_TRUE(idle());
    const auto answers = vm->vcpu(0)->answers();
    ASSERT_EQ(answers.size(), 2u);
    EXPECT_NE(answers[0], little_endian(0xffff'ffff, 4)) << "no host bridge";
    EXPECT_EQ(answers[1], little_endian(0x0011'1b36, 4)) << "no pvpanic";
}

TEST_F(MachineTest, WithoutDevicesThereIsAHostBridgeAlone) {
    start({out(0xcf8, 0x8000'0008u, AccessSize::Dword), In{0xcfe, AccessSize::Word},
           out(0xcf8, 0x8000'0800u, AccessSize::Dword), In{0xcfc, AccessSize::Dword}});

    ASSERT_TRUE(idle());
    EXPECT_THAT(vm->vcpu(0)->answers(),
                ElementsAre(little_endian(0x0600, 2), little_endian(0xffff'ffff, 4)));
    EXPECT_TRUE(tables_have("PCI0"));
    EXPECT_FALSE(tables_have("MCFG"));
}

TEST_F(MachineTest, DevicesHaveConfigurationSpaceInMemory) {
    config.pvpanic = true;
    start({});

    ASSERT_TRUE(idle());
    EXPECT_TRUE(tables_have("MCFG"));
}

TEST_F(MachineTest, PanicLineIsRememberedUntilAReset) {
    start(print("[ 1.0] Kernel panic - not syncing: no init\r\n"));
    ASSERT_TRUE(idle());
    machine->pause();
    EXPECT_EQ(machine->last_panic(), "Kernel panic - not syncing: no init");

    ASSERT_TRUE(reset());
    machine->pause();

    EXPECT_EQ(machine->last_panic(), "");
}

TEST_F(MachineTest, EachVcpuHasItsOwnApicIdAndCpuid) {
    config.cpus.boot_vcpus = 3;
    start();

    for (std::uint32_t id = 0; id < 3; ++id) {
        ASSERT_NE(vm->vcpu(id), nullptr) << id;
        ASSERT_TRUE(vm->vcpu(id)->wait_until_idle());
        EXPECT_FALSE(vm->vcpu(id)->record().cpuid.empty()) << id;
    }
}

TEST_F(MachineTest, MoreVcpusThanTheHypervisorHasAreRefused) {
    config.cpus.boot_vcpus = 65;

    const auto built = build();

    ASSERT_FALSE(built);
    EXPECT_THAT(built.error().one_line(), HasSubstr("65 vCPUs were asked for"));
    EXPECT_THAT(built.error().one_line(), HasSubstr("allows 64"));
    EXPECT_EQ(built.error().advice(), "Use --num-cpu 64 or less.");
}

TEST_F(MachineTest, EndsWhileTheGuestIsBusy) {
    std::vector<fake::Step> steps;
    for (int i = 0; i < 10'000; ++i)
        steps.push_back(In{kCom1 + 5});
    start(std::move(steps));

    machine->stop();
    machine.reset();
}

}  // namespace
}  // namespace vmm::machine
