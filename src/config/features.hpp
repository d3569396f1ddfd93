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

/// The same for the key `name` of the object at `parent`, which is empty for the machine itself.
constexpr bool is_supported(std::string_view parent, std::string_view name) {
    if (parent.empty())
        return is_supported(name);
    return std::ranges::none_of(kNotYet, [=](std::string_view path) {
        return path.size() == parent.size() + 1 + name.size() && path.starts_with(parent) &&
               path[parent.size()] == '.' && path.ends_with(name);
    });
}

}  // namespace vmm::config
