// SPDX-License-Identifier: Apache-2.0
#include "machine/devices/kinds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

#include "config/kinds/kinds.hpp"

namespace vmm::machine {
namespace {

using testing::ElementsAre;

TEST(DeviceKindsTest, EachKindOfTheConfigurationHasItsFileHereAndTheOtherWayRound) {
    std::set<std::string_view> in_configuration;
    for (const auto& key : config::device_keys())
        if (key.device->pci_devices != nullptr)
            in_configuration.insert(key.name);
    std::set<std::string_view> here;
    for (const DeviceKind& kind : kDeviceKinds)
        here.insert(kind.key);

    EXPECT_EQ(here, in_configuration);
}

VmConfig with_all_kinds() {
    VmConfig config;
    config.console.mode = ConsoleMode::Null;
    config.console_ports = {{.mode = ConsoleMode::Null, .name = "a"},
                            {.mode = ConsoleMode::Null, .name = "b"}};
    config.disks = {{.path = "a"}, {.path = "b", .id = "data"}, {.path = "c"}};
    config.net = {{.tap = "t"}, {.tap = "u", .id = "lan"}};
    config.rng.emplace();
    config.pvpanic = true;
    return config;
}

// The configuration counts and names devices before there are any.
TEST(DeviceKindsTest, ConfigurationSaysHowManyThereAreAndWhatTheyAreCalled) {
    const auto config = with_all_kinds();
    for (const DeviceKind& kind : kDeviceKinds) {
        const auto* const key = config::find_key(config::vm_schema(), kind.key);
        ASSERT_NE(key, nullptr) << kind.key;
        ASSERT_NE(key->device, nullptr) << kind.key;
        const auto made = kind.configured(config);
        EXPECT_FALSE(made.empty()) << kind.key;
        ASSERT_EQ(made.size(), key->device->pci_devices(config)) << kind.key;
        for (std::size_t i = 0; i < made.size(); ++i)
            EXPECT_EQ(made[i].id, key->device->name_of(config, i));
        EXPECT_EQ(key->device->pci_devices(VmConfig{}), 0U) << kind.key;
    }
}

TEST(DeviceKindsTest, DevicesHaveTheSlotOfTheConfiguration) {
    auto config = with_all_kinds();
    config.console.pci_device_id = 7;
    config.disks[1].pci_device_id = 8;
    config.net[1].pci_device_id = 9;
    config.rng->pci_device_id = 10;
    unsigned with_slot = 0;
    for (const DeviceKind& kind : kDeviceKinds) {
        const auto& device = *config::find_key(config::vm_schema(), kind.key)->device;
        const auto made = kind.configured(config);
        for (std::size_t i = 0; i < made.size(); ++i) {
            EXPECT_EQ(made[i].slot, device.slot ? device.slot(config, i) : std::nullopt)
                << made[i].id;
            with_slot += made[i].slot ? 1 : 0;
        }
    }
    EXPECT_EQ(with_slot, 4U);
}

TEST(DeviceKindsTest, NothingIsMadeThatWasNotAskedFor) {
    for (const DeviceKind& kind : kDeviceKinds)
        EXPECT_TRUE(kind.configured(VmConfig{}).empty()) << kind.key;
}

TEST(DeviceKindsTest, DevicesHaveTheirIdOrTheNameOfTheirKind) {
    const auto config = with_all_kinds();
    std::vector<std::string> ids;
    for (const DeviceKind& kind : kDeviceKinds)
        for (const auto& device : kind.configured(config))
            ids.push_back(device.id);

    EXPECT_THAT(ids, ElementsAre("console", "ports", "disk0", "data", "disk2", "net0", "lan", "rng",
                                 "pvpanic"));
}

}  // namespace
}  // namespace vmm::machine
