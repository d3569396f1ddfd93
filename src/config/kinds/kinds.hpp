// SPDX-License-Identifier: Apache-2.0
// The kinds of device that a configuration may have.
//
// A new kind is a file beside this one, a declaration here and a line in the list, which is the
// kind's key in VmConfig. docs/adding-a-device.md walks through it.
#pragma once

#include <array>
#include <span>

#include "config/kinds/device_schema.hpp"
#include "config/schema.hpp"
#include "config/vm_config.hpp"

namespace vmm::config {

extern const DeviceSchema kSerial;
extern const DeviceSchema kConsole;
extern const DeviceSchema kConsolePorts;
extern const DeviceSchema kDisk;
extern const DeviceSchema kNet;
extern const DeviceSchema kRng;
extern const DeviceSchema kPvPanic;

/// A row of the list: `rest` with the kind and its table filled in.
template <auto Pointer>
constexpr Key device_key(const DeviceSchema& device, Key rest) {
    Key row = key<Pointer>(rest);
    row.device = &device;
    if (row.type == Type::Object || row.type == Type::ObjectList)
        row.object = &device.table;
    return row;
}

/// In the order in which help and messages name them.
inline constexpr auto kDeviceKeys = std::array{
    device_key<&VmConfig::serial>(kSerial, {.name = "serial", .flag = "--serial", .value = "MODE"}),
    device_key<&VmConfig::console>(kConsole,
                                   {.name = "console", .flag = "--console", .value = "MODE"}),
    device_key<&VmConfig::console_ports>(
        kConsolePorts,
        {.name = "console_ports", .flag = "--console-port", .value = "name=NAME,..."}),
    device_key<&VmConfig::disks>(kDisk, {.name = "disks", .flag = "--disk", .value = "FILE,..."}),
    device_key<&VmConfig::net>(kNet, {.name = "net", .flag = "--net", .value = "TAP,..."}),
    device_key<&VmConfig::rng>(kRng, {.name = "rng", .flag = "--rng", .value = "src=FILE"}),
    device_key<&VmConfig::pvpanic>(kPvPanic, {.name = "pvpanic", .flag = "--pvpanic"}),
};

/// The same rows, as they are in the machine's table.
std::span<const Key> device_keys();

}  // namespace vmm::config
