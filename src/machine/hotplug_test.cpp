// SPDX-License-Identifier: Apache-2.0
// Devices that come and go under a guest that runs: whole machines on hv/fake.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>

#include "machine/hotplug_test_support.hpp"

namespace vmm::machine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

TEST_F(HotplugTest, AddedDiskIsFoundAndReadWhileTheGuestUsesAnotherDevice) {
    start_guest();
    bring_up(rng);
    keep_on();

    const auto added = machine->add_device(fake_disk("data"));

    ASSERT_TRUE(added) << added.error().one_line();
    EXPECT_EQ(machine->find_device("data"), kSlot2);
    EXPECT_EQ(cpu.config(kSlot2, 0, 4), 0x1042'1af4u);
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    bring_up(disk);
    read_sector(disk);
    EXPECT_TRUE(disk.wait_until_used());
    EXPECT_EQ(sector(), "sector 0");
    EXPECT_EQ(*ram(kData + 0x3000), std::byte{0}) << "the request failed";
    wait_for_rounds(3);
}

TEST_F(HotplugTest, RemovedDeviceIsNotThereAndItsNeighboursStay) {
    config.pvpanic = true;  // slot 2
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    constexpr pci::Address kSlot3{.slot = 3, .function = 0};
    ASSERT_EQ(machine->find_device("data"), kSlot3);
    GuestDriver disk{cpu, kSlot3, kSecondRings};
    bring_up(disk);
    disk.use_message(0x41);
    ASSERT_THAT(vm->unmasked(), ElementsAre(MsiMessage{0xfee0'0000, 0x41, 3 << 3}));
    ASSERT_EQ(vm->doorbells().size(), 1u);

    EXPECT_EQ(remove_and_wait("pvpanic"), "gone");
    EXPECT_EQ(cpu.config(kSlot2, 0, 4), kNobody);
    EXPECT_EQ(machine->find_device("data"), kSlot3);
    read_sector(disk);
    EXPECT_TRUE(disk.wait_until_used());

    EXPECT_EQ(remove_and_wait("data"), "gone");
    EXPECT_EQ(cpu.config(kSlot3, 0, 4), kNobody);
    EXPECT_EQ(disk.status(), 0xffu) << "its BAR is still mapped";
    EXPECT_THAT(vm->doorbells(), IsEmpty());
    EXPECT_THAT(vm->unmasked(), IsEmpty());
    EXPECT_EQ(machine->find_device("data"), std::nullopt);
}

TEST_F(HotplugTest, FreedSlotIsTakenAgainAndTheNewDeviceWorksThere) {
    start_guest();
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    for (const char* const content : {"sector 1", "sector 2"}) {
        ASSERT_TRUE(machine->add_device(fake_disk("data")));
        medium->put(0, content);
        ASSERT_EQ(machine->find_device("data"), kSlot2);
        bring_up(disk);
        read_sector(disk);
        ASSERT_TRUE(disk.wait_until_used());
        EXPECT_EQ(sector(), content);
        ASSERT_EQ(remove_and_wait("data"), "gone");
    }
}

TEST_F(HotplugTest, RemovalWaitsForARequestThatTheDiskHasAndTheGuestGoesOn) {
    start_guest();
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    add_disk_with_a_request(disk);
    work();

    remove("data");
    wait_for_rounds(3);
    while (medium->cancelled() == 0)
        machine->device_ended();

    EXPECT_EQ(answer, std::nullopt) << "freed while the host had a request of it";
    EXPECT_EQ(cpu.config(kSlot2, 0, 4), kNobody);
    EXPECT_EQ(refusal_of(fake_disk("data")), "there is a device with the id 'data' already");
    medium->release_all();
    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(disk.used(), 0) << "the guest's ring was written after the device had gone";
}

TEST_F(HotplugTest, SecondRemovalOfTheSameDeviceIsAnsweredWithTheFirst) {
    start_guest();
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    add_disk_with_a_request(disk);
    std::vector<std::string> answers;
    const auto note = [&](const char* who) {
        return [&answers, who](const Result<>& done) {
            answers.push_back(done ? who : done.error().one_line());
        };
    };

    machine->remove_device("data", Removal::AtOnce, note("first"));
    machine->remove_device("data", Removal::WithConsent, note("second"));
    medium->release_all();
    remove("nobody");
    while (answers.size() < 2)
        machine->device_ended();

    EXPECT_THAT(answers, ElementsAre("first", "second"));
    EXPECT_EQ(answer, "there is no device with the id 'nobody'");
}

TEST_F(HotplugTest, HostThatDoesNotAnswerIsToldOfAndTheDeviceGoesWhenItDoes) {
    config.stop_timeout = 0;
    start_guest();
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    add_disk_with_a_request(disk);

    remove("data");
    while (!answer)
        loop.run_one();

    EXPECT_EQ(answer,
              "'data' did not stop within 0 s (--stop-timeout): the host does not answer what the "
              "guest asked of it");
    medium->release_all();
    answer.reset();
    remove("data");
    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(refusal_of(fake_disk("data")), "added");
}

TEST_F(HotplugTest, RemovalThatAResetOvertakesIsFinishedWithIt) {
    start_guest();
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    add_disk_with_a_request(disk);
    remove("data");

    machine->begin_reset();
    const auto busy = machine->busy_devices();
    medium->release_all();
    while (!machine->busy_devices().empty())
        std::this_thread::yield();
    ASSERT_TRUE(machine->finish_reset());

    EXPECT_THAT(busy, ElementsAre("data")) << "its request may still write to RAM";
    EXPECT_EQ(wait_for_answer(), "gone");
}

TEST_F(HotplugTest, PausedMachineTakesAndGivesDevices) {
    start_guest();
    machine->pause();

    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    EXPECT_EQ(remove_and_wait("rng"), "gone");
    machine->resume();

    EXPECT_EQ(cpu.config(kSlot1, 0, 4), kNobody);
    EXPECT_EQ(cpu.config(kSlot2, 0, 4), 0x1042'1af4u);
}

TEST_F(HotplugTest, PausedDiskFinishesWhatItHasAndTouchesNoRamAfterThat) {
    start_guest();
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    add_disk_with_a_request(disk);

    machine->pause();
    EXPECT_THAT(machine->devices_not_quiet(), ElementsAre("data"));
    medium->release_all();
    while (!machine->devices_not_quiet().empty())
        std::this_thread::yield();
    const auto used = disk.used();
    disk.add(sector_read());
    std::memset(ram(kData + 0x2000), 0, 8);
    EXPECT_EQ(disk.used(), used);

    machine->resume();
    disk.kick();
    EXPECT_TRUE(disk.wait_until_used());
    EXPECT_EQ(used, 1) << "what was in flight has not ended";
    EXPECT_EQ(sector(), "sector 0");
}

// Slots that are asked for.

TEST_F(HotplugTest, DevicesHaveTheSlotsThatTheConfigurationSaysAndOthersGoAroundThem) {
    config.rng->pci_device_id = 2;
    config.pvpanic = true;
    config.console = {.mode = ConsoleMode::Null, .pci_device_id = 1};
    start_guest();

    EXPECT_EQ(machine->find_device("console"), kSlot1);
    EXPECT_EQ(machine->find_device("rng"), kSlot2);
    EXPECT_EQ(machine->find_device("pvpanic"), (pci::Address{.slot = 3, .function = 0}));
    EXPECT_EQ(cpu.config(kSlot2, 0, 4), 0x1044'1af4u);
    EXPECT_EQ(cpu.config({.slot = 3, .function = 0}, 0, 4), 0x0011'1b36u);
}

TEST_F(HotplugTest, NeighbourThatIsLeftOutMovesNoDeviceThatHasASlot) {
    config.rng->pci_device_id = 9;
    config.pvpanic = true;
    start_guest();
    EXPECT_EQ(machine->find_device("rng"), (pci::Address{.slot = 9, .function = 0}));
    EXPECT_EQ(machine->find_device("pvpanic"), kSlot1);
    EXPECT_EQ(cpu.config(kSlot2, 0, 4), kNobody);
}

TEST_F(HotplugTest, DeviceThatComesLaterGetsItsSlotUnlessThatIsTaken) {
    start_guest();
    const auto disk_in = [this](std::string id, std::uint8_t slot) {
        auto device = fake_disk(std::move(id));
        device.slot = slot;
        return device;
    };

    ASSERT_TRUE(machine->add_device(disk_in("data", 20)));
    EXPECT_EQ(machine->find_device("data"), (pci::Address{.slot = 20, .function = 0}));
    EXPECT_EQ(refusal_of(disk_in("more", 20)), "put more on the bus: PCI slot 20 is taken");
    EXPECT_EQ(refusal_of(disk_in("more", 0)), "put more on the bus: PCI slot 0 is not for devices");
    ASSERT_TRUE(machine->add_device(fake_disk("more")));
    EXPECT_EQ(machine->find_device("more"), kSlot2);
    EXPECT_EQ(remove_and_wait("data"), "gone");
    ASSERT_TRUE(machine->add_device(disk_in("data", 20)));
}

// What is refused.

TEST_F(HotplugTest, WhatCannotBeDoneIsRefusedWithTheReason) {
    config.console.mode = ConsoleMode::Null;
    start_guest();

    EXPECT_EQ(remove_and_wait("nobody"), "there is no device with the id 'nobody'");
    EXPECT_EQ(remove_and_wait("console"), "'console' cannot be removed");
    remove("rng", Removal::WithConsent);
    EXPECT_EQ(answer, "the guest cannot be asked to let go of 'rng'");
    EXPECT_EQ(refusal_of(fake_disk("rng")), "there is a device with the id 'rng' already");
    VmConfig fragment;
    fragment.disks.push_back({.path = "/nowhere/disk.img", .id = "data"});
    EXPECT_THAT(refusal_of(disk_of(fragment)), HasSubstr("/nowhere/disk.img"));
    EXPECT_EQ(machine->find_device("data"), std::nullopt);
}

TEST_F(HotplugTest, MachineWithoutDevicesHasPlaceForOne) {
    config.rng.reset();
    start_guest();
    EXPECT_EQ(remove_and_wait("rng"), "there is no device with the id 'rng'");

    ASSERT_TRUE(machine->add_device(fake_disk("data")));

    EXPECT_EQ(machine->find_device("data"), kSlot1);
    EXPECT_EQ(cpu.config(kSlot1, 0, 4), 0x1042'1af4u);
}

// Who is still inside.

/// A device with a register that a vCPU stays in until it is let go.
class SlowDevice final : public StubDevice {
public:
    struct Register final : IoDevice {
        std::uint64_t read(Access) noexcept override {
            inside = true;
            inside.notify_all();
            leave.wait(false);
            return alive;
        }
        void write(Access, std::uint64_t) noexcept override {}
        std::atomic<bool> inside = false;
        std::atomic<bool> leave = false;
        std::atomic<std::uint64_t> alive = 0x5a;
    };
    SlowDevice(Register& slow, std::atomic<bool>& freed) : slow_{slow}, freed_{freed} {
        function.add_bar(0, {.kind = pci::BarKind::Memory32, .size = 0x1000}, slow);
    }
    ~SlowDevice() override {
        slow_.alive = 0xdd;
        freed_ = true;
    }
    SlowDevice(const SlowDevice&) = delete;
    SlowDevice& operator=(const SlowDevice&) = delete;

private:
    Register& slow_;
    std::atomic<bool>& freed_;
};

TEST_F(HotplugTest, DeviceIsFreedOnlyWhenEachVcpuHasLeftIt) {
    SlowDevice::Register slow;
    std::atomic<bool> freed = false;
    start_guest();
    ASSERT_TRUE(machine->add_device(
        {"slow", [&](const std::string&, const DeviceParts&) -> Result<MadeDevice> {
             return MadeDevice{std::make_unique<SlowDevice>(slow, freed), {}};
         }}));
    cpu.write(ScriptedCpu::config_at(kSlot2, 4), 2, 2);
    const auto bar = cpu.config(kSlot2, 0x10, 4);
    vm->plan(0, {fake::MmioRead{Gpa{bar}, 1}, fake::MmioRead{Gpa{bar}, 1}});
    slow.inside.wait(false);

    remove("slow");
    EXPECT_EQ(cpu.config(kSlot2, 0, 4), kNobody);  // the other vCPU has left whatever it was in
    machine->device_ended();
    const bool freed_while_inside = freed;
    slow.leave = true;
    slow.leave.notify_all();

    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_FALSE(freed_while_inside);
    EXPECT_TRUE(freed);
    ASSERT_TRUE(vm->vcpu(0)->wait_until_idle());
    EXPECT_THAT(vm->vcpu(0)->answers(),
                ElementsAre(fake::little_endian(0x5a, 1), fake::little_endian(0xff, 1)));
}

/// Its host side is slow to close.
class SlowToClose final : public StubDevice {
public:
    struct Gate {
        std::atomic<bool> closing = false;
        std::atomic<bool> open = false;
    };
    explicit SlowToClose(Gate& gate) : gate_{gate} {}
    ~SlowToClose() override {
        gate_.closing = true;
        gate_.open.wait(false);
    }
    SlowToClose(const SlowToClose&) = delete;
    SlowToClose& operator=(const SlowToClose&) = delete;

private:
    Gate& gate_;
};

TEST_F(HotplugTest, HostSideThatIsSlowToCloseHoldsUpNobodyAndIsNamedAtTheEnd) {
    SlowToClose::Gate gate;
    start_guest();
    ASSERT_TRUE(machine->add_device(
        {"slow", [&](const std::string&, const DeviceParts&) -> Result<MadeDevice> {
             return MadeDevice{std::make_unique<SlowToClose>(gate), {}};
         }}));

    remove("slow");
    while (!gate.closing)
        machine->device_ended();
    const bool paused = (machine->pause(), machine->devices_not_quiet().empty());
    machine->resume();
    const auto other = refusal_of(fake_disk("data"));
    machine->stop();
    const auto left = machine->stop_devices(0ms);
    const auto early = answer;
    gate.open = true;
    gate.open.notify_all();

    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(early, std::nullopt);
    EXPECT_TRUE(paused);
    EXPECT_EQ(other, "added");
    EXPECT_THAT(left, ElementsAre("slow"));
}

TEST_F(HotplugTest, AHundredDevicesComeAndGoUnderAGuestAtWorkAndLeaveNothingOpen) {
    const test::MemoryFile image{std::vector<std::byte>(1 << 20)};
    VmConfig fragment;
    fragment.disks.push_back({.path = image.path(), .id = "data"});
    start_guest();
    ASSERT_TRUE(machine->add_device(disk_of(fragment)));
    work();
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    const auto open = open_files();
    for (int i = 0; i < 100; ++i) {
        if (i % 4 == 0) {
            bring_up(disk);
            read_sector(disk);
        }
        ASSERT_EQ(remove_and_wait("data"), "gone") << i;
        ASSERT_TRUE(machine->add_device(disk_of(fragment))) << i;
        ASSERT_EQ(machine->find_device("data"), kSlot2) << i;
    }
    wait_for_rounds(3);

    EXPECT_EQ(open_files(), open);
    EXPECT_EQ(vm->doorbells().size(), 1u);
}

}  // namespace
}  // namespace vmm::machine
