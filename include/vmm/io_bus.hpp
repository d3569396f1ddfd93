// SPDX-License-Identifier: Apache-2.0
// An address space of devices: one for port I/O, one for MMIO.
#pragma once

#include <cstdint>

#include "vmm/error.hpp"
#include "vmm/io_device.hpp"

namespace vmm {

/// The writer's side of a bus: who is mapped where. Readers (vCPU threads) use the implementation
/// in src/bus, which replaces the map as a whole, so that they take no lock a writer can hold.
///
/// Threads: any, but never from inside IoDevice::read() or write() (use after_write()). A vCPU that
/// is inside an access when the map changes finishes on the old map; a device must therefore stay
/// alive until each vCPU has left it, not merely until unmap().
class IoBus {
public:
    virtual ~IoBus() = default;

    /// Fails, and changes nothing, if the range is empty, wraps or overlaps another.
    virtual Result<> map(std::uint64_t base, std::uint64_t size, IoDevice& device) = 0;

    /// Forgets the range that starts at `base`; nothing happens if there is none.
    virtual void unmap(std::uint64_t base) noexcept = 0;
};

}  // namespace vmm
