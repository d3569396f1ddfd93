// SPDX-License-Identifier: Apache-2.0
// The Arm board as a whole machine on hv/fake, on any host.
#include "machine/aarch64/virt.hpp"

#include <chrono>
#include <cstring>

#include "aarch64/layout.hpp"
#include "aarch64/synthetic_image.hpp"
#include "fake/arm_vm.hpp"
#include "machine/machine_test_support.hpp"

namespace vmm::machine {
namespace {

using fake::little_endian;
using fake::MmioRead;
using fake::MmioWrite;
using hv::arm::GicVersion;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::uint64_t kUartData = aarch64::kUart.first.value();
constexpr Gpa kExitRegister{0x0a00'0000};

class VirtTest : public MachineTest {
protected:
    VirtTest() { use(aarch64::test::make_image()); }
    ~VirtTest() override { machine.reset(); }  // it tells `record` what it does

    void use(const test::ByteVector& image) {
        arm_kernel.emplace(image);
        config.payload.kernel = arm_kernel->path();
    }
    Result<std::unique_ptr<Platform>> make_board() override {
        return Virt::create(config,
                            std::make_unique<fake::ArmHypervisor>(
                                std::make_unique<fake::ArmVm>(std::move(owned_vm), record)));
    }
    /// What a user would read, or "" if the machine could be made.
    std::string refusal() {
        const auto built = build();
        return built ? "" : built.error().report();
    }
    /// Where guest RAM is on the host.
    std::byte* host(std::uint64_t at) { return ram(at - aarch64::kRam.value()); }
    static std::vector<fake::Step> say(std::string_view text) {
        std::vector<fake::Step> steps;
        for (const char character : text)
            steps.emplace_back(
                MmioWrite{Gpa{kUartData}, little_endian(static_cast<unsigned char>(character), 1)});
        return steps;
    }
    static MmioRead read32(Gpa at) { return {at, 4}; }
    static MmioWrite write32(Gpa at, std::uint32_t value) { return {at, little_endian(value, 4)}; }

    fake::ArmRecord record;
    std::optional<test::MemoryFile> arm_kernel;
};

TEST_F(VirtTest, StartLoadsTheImageAndEntersItWithATree) {
    start();

    ASSERT_TRUE(idle());
    ASSERT_TRUE(record.entry);
    EXPECT_EQ(record.entry->pc, aarch64::kRam);
    EXPECT_EQ(std::memcmp(host(record.entry->pc.value() + 0x1000), "KKKK", 4), 0);
    EXPECT_EQ(std::memcmp(host(record.entry->x0), "\xd0\x0d\xfe\xed", 4), 0);
    EXPECT_EQ(record.gics_completed, 1u);
    EXPECT_TRUE(vm->has_interrupt_controller());
}

TEST_F(VirtTest, GuestPrintsByThePl011) {
    start(say("hello\n"));

    ASSERT_TRUE(idle());
    machine->stop();
    EXPECT_THAT(machine->drain(10s), ElementsAre());
    EXPECT_EQ(read_back(), "hello\n");
}

TEST_F(VirtTest, WithoutASerialPortNobodyAnswersThere) {
    config.serial.mode = ConsoleMode::Off;
    start({read32(Gpa{kUartData + 0x18})});

    ASSERT_TRUE(idle());
    EXPECT_THAT(vm->vcpu(0)->answers(), ElementsAre(little_endian(0xffff'ffff, 4)));
}

TEST_F(VirtTest, ClockAndGpioAreWhereTheTreeSaysThatTheyAre) {
    const auto peripheral_id = [](GpaRange device) {
        return read32(Gpa{device.first.value() + 0xfe0});
    };
    start({peripheral_id(aarch64::kRtc), peripheral_id(aarch64::kGpio)});

    ASSERT_TRUE(idle());
    EXPECT_THAT(vm->vcpu(0)->answers(),
                ElementsAre(little_endian(0x31, 4), little_endian(0x61, 4)));
}

TEST_F(VirtTest, PowerButtonIsALineOfTheGpioThatInterrupts) {
    constexpr std::uint64_t kBothEdges = 0x408, kMask = 0x410;
    constexpr std::uint32_t kLine = 1u << aarch64::kPowerLine;
    const auto gpio = [](std::uint64_t at) { return Gpa{aarch64::kGpio.first.value() + at}; };
    start({write32(gpio(kBothEdges), kLine), write32(gpio(kMask), kLine)});
    ASSERT_TRUE(idle());
    EXPECT_FALSE(vm->is_high(aarch64::kGpioSpi));

    machine->press_power_button();

    EXPECT_TRUE(vm->is_high(aarch64::kGpioSpi));
}

TEST_F(VirtTest, ExitRegisterSaysItsValue) {
    config.debug_exit = static_cast<std::uint32_t>(kExitRegister.value());
    start({write32(kExitRegister, 42)});

    EXPECT_EQ(event(), Event::TestExit);
    EXPECT_EQ(events->exit_value(), 42);
}

TEST_F(VirtTest, ResetIsAPowerOn) {
    start(say("one"));
    ASSERT_TRUE(idle());
    const auto entry = *record.entry;
    std::memset(host(aarch64::kRam.value()), 0xaa, 0x4000);
    record.entry.reset();

    vm->plan(0, say("two"));
    ASSERT_TRUE(reset());

    ASSERT_TRUE(idle());
    ASSERT_TRUE(record.entry);
    EXPECT_EQ(record.entry->pc, entry.pc);
    EXPECT_EQ(std::memcmp(host(entry.pc.value() + 0x1000), "KKKK", 4), 0);
    EXPECT_EQ(record.gic_resets, 1u);
    EXPECT_EQ(record.vcpu_resets, 1u);
    machine->stop();
    machine->drain(10s);
    EXPECT_EQ(read_back(), "onetwo");
}

TEST_F(VirtTest, PciDevicesAreFoundByEcam) {
    config.pvpanic = true;
    start({read32(Gpa{aarch64::kEcam.first.value() + (1u << 15)})});

    ASSERT_TRUE(idle());
    EXPECT_THAT(vm->vcpu(0)->answers(), ElementsAre(little_endian(0x0011'1b36, 4)));
}

TEST_F(VirtTest, GicHasRedistributorsForEachVcpu) {
    config.cpus.boot_vcpus = 3;
    start();

    ASSERT_TRUE(idle());
    ASSERT_EQ(record.gic.redistributors.size(), 1u);
    EXPECT_EQ(record.gic.redistributors[0].size, 3 * aarch64::kRedistributor);
}

TEST_F(VirtTest, MemoryBeyondTheGuestsAddressesIsRefused) {
    record.address_bits = 30;

    EXPECT_THAT(refusal(), HasSubstr("memory: 64 MiB and the board need more than 30 bits of "
                                     "address, which is what guests of this host have"));
}

TEST_F(VirtTest, KernelForPagesThatTheCpuLacksIsRefused) {
    use(aarch64::test::make_image({.flags = 2 << 1}));

    EXPECT_THAT(refusal(), HasSubstr("uses pages of 16 KiB, which this host's CPUs do not have"));
}

TEST_F(VirtTest, MoreVcpusThanTheHypervisorHasAreRefused) {
    config.cpus.boot_vcpus = 65;

    EXPECT_THAT(refusal(), HasSubstr("65 vCPUs were asked for, KVM on this host allows 64"));
}

TEST_F(VirtTest, GicV2IsDescribedAsOne) {
    record.gic_version = GicVersion::V2;
    start();

    ASSERT_TRUE(idle());
    const std::string_view tree{reinterpret_cast<const char*>(host(record.entry->x0)), 4096};
    EXPECT_NE(tree.find("arm,cortex-a15-gic"), std::string_view::npos);
    EXPECT_EQ(tree.find("arm,gic-v3"), std::string_view::npos);
}

}  // namespace
}  // namespace vmm::machine
