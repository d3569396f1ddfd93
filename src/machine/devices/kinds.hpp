// SPDX-License-Identifier: Apache-2.0
// The kinds of device that a configuration may have on the PCI bus.
//
// A new kind is a file beside this one, a declaration here and a line in the list; a test compares
// the list with the configuration's schema. docs/adding-a-device.md walks through it.
#pragma once

#include <array>
#include <string>

#include "config/vm_config.hpp"
#include "machine/devices/device.hpp"

namespace vmm::machine {

extern const DeviceKind kConsoleKind;
extern const DeviceKind kConsolePortsKind;
extern const DeviceKind kDiskKind;
extern const DeviceKind kNetKind;
extern const DeviceKind kRngKind;
extern const DeviceKind kPvPanicKind;

/// In the order in which devices get their places on the bus.
inline constexpr std::array kDeviceKinds{&kConsoleKind, &kConsolePortsKind, &kDiskKind,
                                         &kNetKind,     &kRngKind,          &kPvPanicKind};

}  // namespace vmm::machine
