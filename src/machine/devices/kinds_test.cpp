// SPDX-License-Identifier: Apache-2.0
#include "machine/devices/kinds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

#include "config/schema.hpp"

namespace vmm::machine {
namespace {

using testing::ElementsAre;

// What a configuration has besides devices on the PCI bus. A new key is one or the other.
const std::set<std::string_view> kNoDevices{
    "name",     "payload",  "cpus",     "memory",       "serial",     "virtio_notify",
    "on_reset", "on_crash", "on_panic", "stop_timeout", "debug_exit",
};

TEST(DeviceKindsTest, EachKindOfTheSchemaHasItsFileHereAndTheOtherWayRound) {
    std::set<std::string_view> in_schema;
    for (const auto& key : config::vm_schema().keys)
        if (!kNoDevices.contains(key.name))
            in_schema.insert(key.name);
    std::set<std::string_view> here;
    for (const DeviceKind& kind : kDeviceKinds)
        here.insert(kind.key);

    EXPECT_EQ(here, in_schema);
}

TEST(DeviceKindsTest, NothingIsMadeThatWasNotAskedFor) {
    for (const DeviceKind& kind : kDeviceKinds)
        EXPECT_TRUE(kind.configured(VmConfig{}).empty()) << kind.key;
}

TEST(DeviceKindsTest, DevicesHaveTheirIdOrTheNameOfTheirKind) {
    VmConfig config;
    config.console.mode = ConsoleMode::Null;
    config.console_ports = {{.mode = ConsoleMode::Null, .name = "a"},
                            {.mode = ConsoleMode::Null, .name = "b"}};
    config.disks = {{.path = "a"}, {.path = "b", .id = "data"}, {.path = "c"}};
    config.net = {{.tap = "t"}, {.tap = "u", .id = "lan"}};
    config.rng.emplace();
    config.pvpanic = true;
    std::vector<std::string> ids;
    for (const DeviceKind& kind : kDeviceKinds)
        for (const auto& device : kind.configured(config))
            ids.push_back(device.id);

    EXPECT_THAT(ids, ElementsAre("console", "ports", "disk0", "data", "disk2", "net0", "lan", "rng",
                                 "pvpanic"));
}

}  // namespace
}  // namespace vmm::machine
