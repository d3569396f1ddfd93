// SPDX-License-Identifier: Apache-2.0
// Devices that come and go under a guest that runs: whole machines on hv/fake.
#include <poll.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>

#include "machine/devices/kinds.hpp"
#include "machine/guest_driver_test_support.hpp"
#include "machine/machine_test_support.hpp"
#include "support/fake_block_backend.hpp"

namespace vmm::machine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

constexpr std::uint64_t kFirstRings = 16 << 20;
constexpr std::uint64_t kSecondRings = 17 << 20;
constexpr std::uint64_t kData = 18 << 20;
constexpr pci::Address kSlot1{.slot = 1, .function = 0};
constexpr pci::Address kSlot2{.slot = 2, .function = 0};
constexpr std::uint64_t kNobody = 0xffff'ffff;

std::size_t open_files() {
    const std::filesystem::directory_iterator files{"/proc/self/fd"};
    return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

/// Two vCPUs: the first is the guest at work, the second is the test's. An entropy device is there
/// from the start, in slot 1.
class HotplugTest : public MachineTest {
protected:
    HotplugTest() {
        config.cpus.boot_vcpus = 2;
        config.rng.emplace();
    }
    ~HotplugTest() override { rest(); }

    void start_guest() {
        start();
        ASSERT_TRUE(vm->vcpu(0)->wait_until_idle());
        ASSERT_TRUE(vm->vcpu(1)->wait_until_idle());
    }

    /// The driver's DRIVER_OK orders the device's thread, which the loop makes.
    void bring_up(GuestDriver& driver) {
        driver.start();
        loop.poll();
    }

    /// In slot 2, and its host holds what the guest asks of it.
    void add_disk_with_a_request(GuestDriver& disk) {
        ASSERT_TRUE(machine->add_device(fake_disk("data")));
        bring_up(disk);
        medium->hold();
        read_sector(disk);
        while (medium->held() == 0)
            std::this_thread::yield();
    }

    /// The guest asks for entropy over and over, and uses the registers of what is in slot 2 now,
    /// whether it is there or not.
    void work() {
        bring_up(rng);
        other_bar = cpu.config(kSlot2, 0x10, 4) & ~std::uint64_t{15};
        keep_on();
    }
    void keep_on() {
        if (resting)
            return;
        if (rng.used() == rng.added()) {
            rng.add(std::array{Piece{.at = kData, .length = 64, .writable = true}});
            ++rounds;
        }
        vm->plan(
            0, {rng.kick_step(), fake::MmioRead{Gpa{ScriptedCpu::config_at(kSlot2, 0)}, 4},
                fake::MmioWrite{Gpa{ScriptedCpu::config_at(kSlot2, 4)}, fake::little_endian(6, 2)},
                fake::MmioRead{Gpa{other_bar + 0x14}, 1},
                fake::MmioWrite{Gpa{other_bar + 0x16}, fake::little_endian(0, 2)},
                fake::Action{[this] { keep_on(); }}});
    }
    void wait_for_rounds(unsigned more) const {
        for (const auto until = rounds + more; rounds < until;)
            std::this_thread::yield();
    }
    void rest() {
        resting = true;
        if (machine)
            machine->stop();
    }

    /// A disk whose medium the test holds in `medium`.
    NewDevice fake_disk(std::string id) {
        return {std::move(id), [this](const std::string& name, const DeviceParts& parts) {
                    return make_fake_disk(name, parts);
                }};
    }
    Result<MadeDevice> make_fake_disk(const std::string& name, const DeviceParts& parts) {
        auto backend = std::make_unique<test::FakeBlockBackend>(1 << 20);
        medium = backend.get();
        medium->put(0, "sector 0");
        auto body = VMM_TRY(virtio_blk::Blk::create({.name = name}, std::move(backend)));
        auto* const blk = body.get();
        auto device = VMM_TRY(make_virtio_device(std::move(body), true, parts));
        return MadeDevice{std::move(device), blk};
    }
    static NewDevice disk_of(const VmConfig& fragment) {
        auto wanted = disk_devices(fragment);
        EXPECT_EQ(wanted.size(), 1u);
        return std::move(wanted.front());
    }

    static auto sector_read() {
        return std::array{Piece{.at = kData + 0x1000, .length = 16},
                          Piece{.at = kData + 0x2000, .length = 512, .writable = true},
                          Piece{.at = kData + 0x3000, .length = 1, .writable = true}};
    }
    void read_sector(GuestDriver& driver) {
        std::memset(ram(kData + 0x1000), 0, 0x3000);
        *ram(kData + 0x3000) = std::byte{0xff};
        driver.add(sector_read());
        driver.kick();
    }
    std::string sector() { return {reinterpret_cast<const char*>(ram(kData + 0x2000)), 8}; }

    void remove(std::string_view id, Removal how = Removal::AtOnce) {
        answer.reset();
        machine->remove_device(id, how, [this](const Result<>& done) {
            answer = done ? "gone" : done.error().one_line();
        });
    }
    /// As the session's loop does.
    std::string wait_for_answer() {
        const auto end = std::chrono::steady_clock::now() + 20s;
        while (!answer && std::chrono::steady_clock::now() < end) {
            pollfd ended{.fd = machine->ended_fd(), .events = POLLIN, .revents = 0};
            ::poll(&ended, 1, 100);
            machine->device_ended();
        }
        return answer.value_or("no answer");
    }
    std::string remove_and_wait(std::string_view id) {
        remove(id);
        return wait_for_answer();
    }
    std::string refusal_of(NewDevice device) {
        const auto added = machine->add_device(std::move(device));
        return added ? "added" : added.error().one_line();
    }

    test::FakeBlockBackend* medium = nullptr;
    std::optional<std::string> answer;
    std::atomic<bool> resting = false;
    std::atomic<unsigned> rounds = 0;
    std::uint64_t other_bar = 0;
    ScriptedCpu cpu{*vm, 1};
    GuestDriver rng{cpu, kSlot1, kFirstRings};
};

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
    ASSERT_THAT(vm->unmasked(), ElementsAre(MsiMessage{0xfee0'0000, 0x41}));
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

// Consent.

struct RecordingHotplug final : GuestHotplug {
    void device_came(pci::Address where) override { came.push_back(where); }
    void ask_for_device(pci::Address where) override { asked.push_back(where); }
    std::vector<pci::Address> came;
    std::vector<pci::Address> asked;
};

class ConsentTest : public HotplugTest {
protected:
    ConsentTest() { hotplug = &guest; }
    RecordingHotplug guest;
};

TEST_F(ConsentTest, GuestIsAskedAndKeepsTheDeviceUntilItLetsGo) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    GuestDriver disk{cpu, kSlot2, kSecondRings};
    bring_up(disk);

    remove("data", Removal::WithConsent);
    machine->guest_released(kSlot1);  // what it was not asked for
    read_sector(disk);
    EXPECT_TRUE(disk.wait_until_used());
    EXPECT_EQ(answer, std::nullopt);
    EXPECT_EQ(machine->find_device("rng"), kSlot1);

    machine->guest_released(kSlot2);
    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(cpu.config(kSlot2, 0, 4), kNobody);
    EXPECT_THAT(guest.came, ElementsAre(kSlot2));
    EXPECT_THAT(guest.asked, ElementsAre(kSlot2));
}

TEST_F(ConsentTest, DeviceOfAGuestThatDoesNotAnswerCanBeTakenAway) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    remove("data", Removal::WithConsent);

    EXPECT_EQ(remove_and_wait("data"), "gone");
}

TEST_F(ConsentTest, ResetTakesTheDeviceThatTheGuestWasAskedFor) {
    start_guest();
    ASSERT_TRUE(machine->add_device(fake_disk("data")));
    ASSERT_TRUE(machine->add_device(fake_disk("more")));
    remove("data", Removal::WithConsent);

    ASSERT_TRUE(reset());

    EXPECT_EQ(wait_for_answer(), "gone");
    EXPECT_EQ(cpu.config(kSlot2, 0, 4), kNobody);
    EXPECT_EQ(cpu.config({.slot = 3, .function = 0}, 0, 4), 0x1042'1af4u);
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
