// SPDX-License-Identifier: Apache-2.0
// The entropy device.
#include <array>
#include <cstdint>
#include <optional>

#include "config/foreign_keys.hpp"
#include "config/kinds/kinds.hpp"

namespace vmm::config {
namespace {

using enum ForeignKey::Normal;

constexpr auto kKeys = std::array{
    key<&RngConfig::src>({.name = "src",
                          .value = "FILE",
                          .help = "Where the bytes come from; the host kernel's generator if not "
                                  "given"}),
    key<&RngConfig::packed>({.name = "packed", .help = "Offer the packed ring"}),
    slot_key<&RngConfig::pci_device_id>(),
};

constexpr auto kForeignKeys = std::array{
    ForeignKey{"iommu", Off, {}, kNoIommu},
    ForeignKey{"pci_segment", Zero, {}, kOneSegment},
    ForeignKey{"id", Absent, {}, "Its name is rng: leave it out."},
};

std::size_t pci_devices(const VmConfig& config) {
    return config.rng ? 1 : 0;
}

std::optional<std::uint8_t> slot(const VmConfig& config, std::size_t) {
    return config.rng ? config.rng->pci_device_id : std::nullopt;
}

void add_files(const VmConfig& config, FileList& files) {
    if (config.rng)
        files.add({.key = "rng", .member = "src", .flag = "--rng"}, FileUse::Read, config.rng->src);
}

}  // namespace

constexpr DeviceSchema kRng{.table = {.name = "RngConfig",
                                      .help = "A virtio entropy device",
                                      .keys = kKeys,
                                      .defaults = defaults_of<RngConfig>,
                                      .foreign = kForeignKeys},
                            .noun = "the entropy device",
                            .name = "rng",
                            .pci_devices = pci_devices,
                            .slot = slot,
                            .add_files = add_files};

}  // namespace vmm::config
