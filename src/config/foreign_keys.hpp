// SPDX-License-Identifier: Apache-2.0
// Keys of Cloud Hypervisor's VmConfig that this program has nothing for. With the value that they
// have by default they say nothing and are read over; with any other they are refused by name.
//
// So a file that was written for Cloud Hypervisor, or by it, works as long as it asks for nothing
// that is missing here. As of Cloud Hypervisor v53 (vmm/src/vm_config.rs).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/error.hpp"

namespace vmm::config {

struct ForeignKey {
    enum class Normal : std::uint8_t {
        Absent,  ///< null; as text there is no such value
        Off,
        On,
        Zero,
        Text,    ///< `text`
        Number,  ///< `text` in decimal
        Empty,   ///< an empty list
        Nested,  ///< an object whose keys all have their defaults; `text` is its name in this table
    };

    std::string_view object;  ///< of the schema: "DiskConfig"
    std::string_view key;
    Normal normal = Normal::Absent;
    std::string_view text{};
    std::string_view advice{};  ///< a sentence; empty: leave it out
};

/// Null if `object` has no such key.
const ForeignKey* find_foreign_key(std::string_view object, std::string_view key);

std::span<const ForeignKey> foreign_keys();

/// "false", as a file has it.
std::string_view normal_in_json(const ForeignKey& key);

/// `path` is what the user wrote, such as disks[0].iommu.
Error refused_foreign_key(const ForeignKey& key, std::string_view path);

/// Whether the value as text is the default.
bool is_normal_text(const ForeignKey& key, std::string_view text);

}  // namespace vmm::config
