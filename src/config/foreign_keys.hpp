// SPDX-License-Identifier: Apache-2.0
// Keys of Cloud Hypervisor's VmConfig that this program has nothing for. With the value that they
// have by default they say nothing and are read over; with any other they are refused by name.
//
// So a file that was written for Cloud Hypervisor, or by it, works as long as it asks for nothing
// that is missing here. As of Cloud Hypervisor v53 (vmm/src/vm_config.rs). Each table of ours has
// those of the object of the same name (config/schema.hpp).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/error.hpp"

namespace vmm::config {

struct Object;

struct ForeignKey {
    enum class Normal : std::uint8_t {
        Absent,  ///< null; as text there is no such value
        Off,
        On,
        Zero,
        Text,    ///< `text`
        Number,  ///< `text` in decimal
        Empty,   ///< an empty list
        Nested,  ///< an object whose keys all have their defaults; `text` is its name
    };

    std::string_view key;
    Normal normal = Normal::Absent;
    std::string_view text{};
    std::string_view advice{};  ///< a sentence; empty: leave it out
};

struct ForeignObject {
    std::string_view name;  ///< of a table, or of a nested object
    std::span<const ForeignKey> keys;
};

/// Null if there is no such key.
const ForeignKey* find_foreign_key(std::span<const ForeignKey> keys, std::string_view key);

/// Those of a key that is Nested.
std::span<const ForeignKey> nested_foreign_keys(const ForeignKey& key);

/// All of them, in the order of the reference page.
std::vector<ForeignObject> foreign_objects();

/// "false", as a file has it.
std::string_view normal_in_json(const ForeignKey& key);

/// `path` is what the user wrote, such as disks[0].iommu.
Error refused_foreign_key(const ForeignKey& key, std::string_view path);

/// A flag that a file cannot have, because it belongs to the process and not to the machine.
struct ProcessKey {
    std::string_view key;
    std::string_view flag;
};

/// Null if `key`, at the top of a file, is none.
const ProcessKey* find_process_key(std::string_view key);
Error refused_process_key(const ProcessKey& key);

/// Whether the value as text is the default.
bool is_normal_text(const ForeignKey& key, std::string_view text);

// What several keys advise.
inline constexpr std::string_view kNoIommu = "A virtual IOMMU is not supported yet: leave it out.";
inline constexpr std::string_view kOneSegment = "There is one PCI segment, 0: leave it out.";
inline constexpr std::string_view kNoVhostUser =
    "Devices of other processes (vhost-user) are not supported yet: leave it out.";
inline constexpr std::string_view kNoLimits = "Rate limits are not supported yet: leave it out.";
inline constexpr std::string_view kNoDevice = "Such a device is not supported yet: leave it out.";

}  // namespace vmm::config
