// SPDX-License-Identifier: Apache-2.0
// Guest writes that wake a thread instead of stopping the vCPU.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/error.hpp"

namespace vmm {

/// Where a doorbell is and which writes ring it.
struct DoorbellAddress {
    enum class Space : std::uint8_t { Port, Mmio };

    Space space = Space::Mmio;
    std::uint64_t at = 0;
    std::uint32_t size = 0;              ///< bytes: 1, 2, 4, 8; 0 = any width (MMIO, no match)
    std::optional<std::uint64_t> match;  ///< only writes of this value
    friend bool operator==(const DoorbellAddress&, const DoorbellAddress&) = default;
};

/// The hypervisor's ioeventfds. Any thread, never under a device's lock (use after_write()).
class Doorbells {
public:
    virtual ~Doorbells() = default;

    /// From now on a matching guest write signals `eventfd` and does not reach the bus.
    virtual Result<> connect(const DoorbellAddress& address, int eventfd) = 0;
    virtual void disconnect(const DoorbellAddress& address, int eventfd) noexcept = 0;
};

}  // namespace vmm
