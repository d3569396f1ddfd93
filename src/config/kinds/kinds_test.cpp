// SPDX-License-Identifier: Apache-2.0
#include "config/kinds/kinds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

namespace vmm::config {
namespace {

// What a machine has besides devices. A new key is one of these, or in the list of kinds.
const std::set<std::string_view> kNoDevices{
    "name",     "payload",  "cpus",         "memory",         "virtio_notify", "on_reset",
    "on_crash", "on_panic", "stop_timeout", "landlock_rules", "debug_exit",
};

TEST(KindsTest, EachKeyOfTheMachineIsAKindOfDeviceOrKnownToBeNone) {
    for (const Key& key : vm_schema().keys)
        EXPECT_EQ(key.device == nullptr, kNoDevices.contains(key.name)) << key.name;
}

TEST(KindsTest, TheListIsPartOfTheMachinesTable) {
    const auto keys = device_keys();
    ASSERT_EQ(keys.size(), kDeviceKeys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
        EXPECT_EQ(&keys[i], find_key(vm_schema(), kDeviceKeys[i].name));
        EXPECT_EQ(keys[i].device, kDeviceKeys[i].device) << keys[i].name;
        EXPECT_FALSE(help_of(keys[i]).empty()) << keys[i].name;
    }
}

TEST(KindsTest, EachKindHasAFileOfItsOwn) {
    std::set<const DeviceSchema*> devices;
    for (const Key& key : device_keys()) {
        EXPECT_TRUE(devices.insert(key.device).second) << key.name;
        EXPECT_EQ(key.object, key.device->table.keys.empty() ? nullptr : &key.device->table)
            << key.name;
    }
}

TEST(KindsTest, WhatIsOnThePciBusHasAName) {
    std::set<std::string_view> names;
    for (const Key& key : device_keys()) {
        const DeviceSchema& device = *key.device;
        EXPECT_EQ(device.pci_devices == nullptr, device.name.empty()) << key.name;
        if (!device.name.empty()) {
            EXPECT_TRUE(names.insert(device.name).second) << device.name;
        }
        // Where messages cannot name an entry of a list, they need a noun.
        EXPECT_EQ(device.id == nullptr, !device.noun.empty()) << key.name;
    }
}

TEST(KindsTest, IdIsAKeyOfKindsWhoseDevicesMayHaveOneAndOfNoOther) {
    for (const Key& key : device_keys())
        EXPECT_EQ(key.device->id != nullptr, find_key(key.device->table, "id") != nullptr)
            << key.name;
}

TEST(KindsTest, SlotIsAKeyOfKindsWhoseDevicesMayHaveOneAndOfNoOther) {
    for (const Key& key : device_keys())
        EXPECT_EQ(key.device->slot != nullptr,
                  find_key(key.device->table, "pci_device_id") != nullptr)
            << key.name;
}

}  // namespace
}  // namespace vmm::config
