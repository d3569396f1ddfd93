// SPDX-License-Identifier: Apache-2.0
// What the tables have already and the machine cannot build yet: the one place to lift it.
//
// To support a feature, delete its line. Validation then lets it through, and help, schema and
// reference page stop saying that it is missing (run `vmm config reference >
// docs/configuration.md`).
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace vmm::config {

/// Paths of keys. Such a key may be given with its default value only.
inline constexpr auto kNotYet = std::to_array<std::string_view>({
    "payload.firmware",
});

/// More vCPUs than the guest starts with.
inline constexpr bool kCpuHotplug = false;

/// True for what hangs below a missing key, too: the missing key itself says it.
constexpr bool is_supported(std::string_view path) {
    return std::ranges::find(kNotYet, path) == kNotYet.end();
}

}  // namespace vmm::config
