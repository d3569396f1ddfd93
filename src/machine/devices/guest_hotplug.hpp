// SPDX-License-Identifier: Apache-2.0
// How a guest hears of devices that come and go. Threads: the machine's main thread.
#pragma once

#include "pci/host_bridge.hpp"

namespace vmm::machine {

/// Which slot the guest may power down, and when it has done so, is for a hot-plug controller to
/// say. It speaks of whole slots.
class GuestHotplug {
public:
    virtual ~GuestHotplug() = default;

    virtual void device_came(pci::Address where) = 0;
    /// It answers in its own time, or not at all. May be repeated.
    virtual void ask_for_device(pci::Address where) = 0;
    /// It was asked, and has let the device go. Until device_went().
    virtual bool has_let_go(pci::Address where) = 0;
    /// Nobody finds the device any more, whether the guest was asked or not.
    virtual void device_went(pci::Address where) = 0;
};

}  // namespace vmm::machine
