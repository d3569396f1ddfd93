// SPDX-License-Identifier: Apache-2.0
// A whole machine on hv/fake, for tests that do things with it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "machine/fake_pc_test_support.hpp"
#include "machine/machine.hpp"

namespace vmm::machine {

struct NoCommands final : Commands {
    void ask(Command, Answer) override { FAIL() << "no key was pressed"; }
    void add_device(NewDevice, Answer) override { FAIL() << "there is no key for that"; }
    void remove_device(std::string, Removal, Answer) override { FAIL() << "nor for that"; }
};

class MachineTest : public FakePcTest {
protected:
    ~MachineTest() override { machine.reset(); }
    /// Of a machine whose devices stop by themselves.
    Result<> reset() const {
        machine->begin_reset();
        while (!machine->busy_devices().empty())
            std::this_thread::yield();
        return machine->finish_reset();
    }
    Result<> build() {
        auto platform = VMM_TRY(make_board());
        machine = VMM_TRY(
            Machine::create({config, loop, *events, commands, tell, std::move(platform), hotplug}));
        return {};
    }
    void start(std::vector<fake::Step> steps = {}) {
        vm->plan(0, std::move(steps));
        const auto built = build();
        ASSERT_TRUE(built) << built.error().one_line();
        const auto started = machine->start();
        ASSERT_TRUE(started) << started.error().one_line();
    }
    bool idle() { return vm->vcpu(0)->wait_until_idle(); }
    std::optional<Event> event() {
        for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
             std::chrono::steady_clock::now() < end;
             std::this_thread::sleep_for(std::chrono::milliseconds{1}))
            if (const auto taken = events->take())
                return taken->event;
        return std::nullopt;
    }
    /// The ACPI tables mention `name`.
    bool tables_have(std::string_view name) {
        const std::string_view tables{reinterpret_cast<const char*>(ram(0xe'0000)), 0x2'0000};
        return tables.find(name) != std::string_view::npos;
    }
    /// Where guest RAM is on the host.
    std::byte* ram(std::uint64_t at) { return vm->ram().at(0).host + at; }

    boost::asio::io_context loop;
    std::unique_ptr<Events> events = std::move(*Events::create({}));
    NoCommands commands;
    std::vector<std::string> told;
    Tell tell = [this](std::string_view text) { told.emplace_back(text); };
    bool hotplug = false;  // a controller
    std::unique_ptr<Machine> machine;
};

}  // namespace vmm::machine
