// SPDX-License-Identifier: Apache-2.0
// A machine on hv/fake whose guest is at work while devices come and go.
#pragma once

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
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "machine/devices/kinds.hpp"
#include "machine/guest_driver_test_support.hpp"
#include "machine/machine_test_support.hpp"
#include "support/fake_block_backend.hpp"

namespace vmm::machine {

inline constexpr std::uint64_t kFirstRings = 16 << 20;
inline constexpr std::uint64_t kSecondRings = 17 << 20;
inline constexpr std::uint64_t kData = 18 << 20;
inline constexpr pci::Address kSlot1{.slot = 1, .function = 0};
inline constexpr pci::Address kSlot2{.slot = 2, .function = 0};
inline constexpr std::uint64_t kNobody = 0xffff'ffff;

inline std::size_t open_files() {
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
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
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

}  // namespace vmm::machine
