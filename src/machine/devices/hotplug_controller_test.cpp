// SPDX-License-Identifier: Apache-2.0
#include "machine/devices/hotplug_controller.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "vmm/acpi_registers.hpp"

namespace vmm::machine {
namespace {

struct HotplugControllerTest : testing::Test, PciHotplugEvents {
    struct Line final : IrqLine {
        explicit Line(bool& level) : high{level} {}
        void set(bool level) noexcept override { high = level; }
        bool& high;
    };
    void slot_ejected() noexcept override { ++ejects; }
    std::uint64_t read(std::uint64_t offset) {
        return controller.registers().read({.offset = offset, .size = AccessSize::Dword});
    }
    void eject(std::uint64_t slots) {
        controller.registers().write(
            {.offset = acpi::pci_hotplug::kEject, .size = AccessSize::Dword}, slots);
    }

    bool high = false;
    unsigned ejects = 0;
    HotplugController controller{*this, std::make_unique<Line>(high)};
};

TEST_F(HotplugControllerTest, SpeaksOfSlotsWhateverTheFunction) {
    controller.device_came({.slot = 3, .function = 5});
    EXPECT_TRUE(high);
    EXPECT_EQ(read(acpi::pci_hotplug::kAdded), 8u);
    EXPECT_FALSE(high);
}

TEST_F(HotplugControllerTest, OnlyTheSlotThatWasEjectedHasLetGoUntilItIsEmpty) {
    controller.ask_for_device({.slot = 31});
    controller.ask_for_device({.slot = 30});
    EXPECT_FALSE(controller.has_let_go({.slot = 31}));

    eject(1U << 31);

    EXPECT_EQ(ejects, 1u);
    EXPECT_TRUE(controller.has_let_go({.slot = 31}));
    EXPECT_FALSE(controller.has_let_go({.slot = 30}));
    controller.device_went({.slot = 31});
    EXPECT_FALSE(controller.has_let_go({.slot = 31}));
    EXPECT_EQ(read(acpi::pci_hotplug::kAsked), 1U << 30);
}

TEST_F(HotplugControllerTest, DeviceThatWentIsAskedForNoMore) {
    controller.ask_for_device({.slot = 4});
    controller.device_went({.slot = 4});
    eject(1U << 4);
    EXPECT_EQ(ejects, 0u);
    EXPECT_FALSE(high);
}

}  // namespace
}  // namespace vmm::machine
