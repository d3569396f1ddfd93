// SPDX-License-Identifier: Apache-2.0
// How a device tells the machine what the guest wants or what became of it.
#pragma once

#include <cstdint>

namespace vmm {

enum class GuestEvent : std::uint8_t {
    PowerOff,           ///< ACPI S5
    Reset,              ///< a reset register was written
    Panicked,           ///< pvpanic: the guest's kernel panicked
    CrashKernelLoaded,  ///< pvpanic: it panicked and handles that itself (kdump)
    ShutDown,           ///< pvpanic: orderly shutdown
};

class GuestEvents {
public:
    virtual ~GuestEvents() = default;

    /// A port: a leaf call. The machine acts on it later, from its own loop; the vCPU that made
    /// the access returns to the machine before it runs guest code again. Any thread.
    virtual void notify(GuestEvent event) noexcept = 0;
};

}  // namespace vmm
