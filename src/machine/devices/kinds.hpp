// SPDX-License-Identifier: Apache-2.0
// The kinds of device that a configuration may have on the PCI bus.
//
// A new kind is a file beside this one, a declaration here and a line in the list; a test compares
// the list with the configuration's schema. docs/adding-a-device.md walks through it.
#pragma once

#include <array>
#include <vector>

#include "config/vm_config.hpp"
#include "machine/devices/device.hpp"

namespace vmm::machine {

// Those of a configuration, in its order. It outlives what comes back.
std::vector<NewDevice> console_devices(const VmConfig& config);
std::vector<NewDevice> console_port_devices(const VmConfig& config);
std::vector<NewDevice> disk_devices(const VmConfig& config);
std::vector<NewDevice> net_devices(const VmConfig& config);
std::vector<NewDevice> rng_devices(const VmConfig& config);
std::vector<NewDevice> pvpanic_devices(const VmConfig& config);

/// In the order in which devices get their places on the bus.
inline constexpr auto kDeviceKinds = std::array{
    DeviceKind{"console", console_devices}, DeviceKind{"console_ports", console_port_devices},
    DeviceKind{"disks", disk_devices},      DeviceKind{"net", net_devices},
    DeviceKind{"rng", rng_devices},         DeviceKind{"pvpanic", pvpanic_devices},
};

}  // namespace vmm::machine
