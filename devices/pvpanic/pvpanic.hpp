// SPDX-License-Identifier: Apache-2.0
// pvpanic: lets a guest say that it crashed.
//
// Spec: QEMU docs/specs/pvpanic.rst; bit names from Linux include/uapi/misc/pvpanic.h.
// Here: the one-byte register of "ISA Interface" and "PCI Interface". It keeps no state.
// Not here: the PCI function around it, the ACPI object QEMU0001.
#pragma once

#include <cstdint>

#include "vmm/guest_events.hpp"
#include "vmm/io_device.hpp"
#include "vmm/register.hpp"
#include "vmm/stateful.hpp"

namespace vmm {

class PvPanic final : public IoDevice, public Stateful {
public:
    static constexpr std::uint64_t kRegionSize = 1;  // bytes

    /// The register; each bit is an event of its own, any combination may be written at once.
    struct Events : Register<Events, std::uint8_t> {
        using Register::Register;
        static constexpr Bit<Events, 0> panicked{};      // host should act
        static constexpr Bit<Events, 1> crash_loaded{};  // guest deals with it, host only records
        static constexpr Bit<Events, 2> shut_down{};     // orderly shutdown
    };

    explicit PvPanic(GuestEvents& events) : events_{events} {}

    std::uint64_t read(Access access) noexcept override;
    void write(Access access, std::uint64_t value) noexcept override;

    /// A section without fields.
    void save(StateWriter& to) override;
    Result<> restore(StateReader& from) override;

private:
    GuestEvents& events_;
};

}  // namespace vmm
