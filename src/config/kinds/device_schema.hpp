// SPDX-License-Identifier: Apache-2.0
// What the configuration knows about one kind of device: its keys, the rules between them, the
// files that it names, and what its devices are called.
//
// Each kind has a file of its own here, which defines its DeviceSchema; config/kinds/kinds.hpp has
// the list, over which validation, the check for clashes and naming go. Threads: constants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/file_list.hpp"
#include "config/kinds/channel.hpp"
#include "config/limits.hpp"
#include "config/schema.hpp"
#include "config/vm_config.hpp"
#include "vmm/error.hpp"
#include "vmm/text.hpp"

namespace vmm::config {

struct DeviceSchema {
    Object table{};           ///< of its keys; of a kind that is only there or not, the help
    std::string_view noun{};  ///< "the entropy device", where messages have no list to name

    // What is on the PCI bus. Null and empty for what is not.

    std::string_view name{};  ///< of a device without an id, with its number if there can be ids
    std::size_t (*pci_devices)(const VmConfig& config) = nullptr;  ///< how many
    /// Which may be empty, of one of them; null: such devices have none.
    const std::string& (*id)(const VmConfig& config, std::size_t number) = nullptr;

    /// The PCI slot that one of them shall have, if any; null: it cannot be chosen. slot_key()
    std::optional<std::uint8_t> (*slot)(const VmConfig& config, std::size_t number) = nullptr;

    // Null: there are none.

    Result<> (*check)(const VmConfig& config) = nullptr;  ///< rules that join several keys
    void (*add_files)(const VmConfig& config, FileList& files) = nullptr;  ///< less its channels'
    void (*add_channels)(const VmConfig& config, std::vector<Channel>& channels) = nullptr;

    bool has_channels() const { return add_channels != nullptr; }

    /// What messages, threads and the user call one of its PCI devices; MAC addresses are made from
    /// it, too. No two devices of a valid configuration have the same name.
    std::string name_of(const VmConfig& config, std::size_t number) const {
        if (id == nullptr)
            return std::string{name};
        const auto& given = id(config, number);
        return given.empty() ? cat(name, number) : given;
    }
};

// For kinds whose devices are in a list of VmConfig.

template <auto List>
std::size_t size_of_list(const VmConfig& config) {
    return (config.*List).size();
}
template <auto List>
const std::string& id_in_list(const VmConfig& config, std::size_t number) {
    return (config.*List)[number].id;
}
template <auto List>
std::optional<std::uint8_t> slot_in_list(const VmConfig& config, std::size_t number) {
    return (config.*List)[number].pci_device_id;
}

/// The key of kinds whose devices may be given a PCI slot.
template <auto Pointer>
constexpr Key slot_key() {
    return key<Pointer>({.name = "pci_device_id",
                         .alias = "addr",
                         .help = "PCI slot of the device; a free one if not given",
                         .least = 1,
                         .most = kLastPciSlot});
}

}  // namespace vmm::config
