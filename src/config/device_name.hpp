// SPDX-License-Identifier: Apache-2.0
// What messages, threads and the user call a device; MAC addresses are made from it, too.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "vmm/text.hpp"

namespace vmm::config {

// Devices that have no id.
inline constexpr std::string_view kConsoleName = "console";
inline constexpr std::string_view kConsolePortsName = "ports";
inline constexpr std::string_view kRngName = "rng";
inline constexpr std::string_view kPvPanicName = "pvpanic";

/// Its id, or its kind and number. No two devices of a valid configuration have the same.
inline std::string device_name(const std::string& id, std::string_view kind, std::size_t number) {
    return id.empty() ? cat(kind, number) : id;
}

}  // namespace vmm::config
