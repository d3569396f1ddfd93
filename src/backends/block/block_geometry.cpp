// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_geometry.hpp"

#include <algorithm>
#include <bit>

#include "vmm/text.hpp"

namespace vmm {
namespace {

constexpr std::uint32_t kSector = 512;
constexpr std::uint32_t kPage = 4096;  // of guests: most of them refuse larger logical blocks

std::uint32_t unit_or(std::uint64_t value, std::uint32_t otherwise) {
    return value >= kSector && value <= kMaxBlockUnit && std::has_single_bit(value)
               ? static_cast<std::uint32_t>(value)
               : otherwise;
}

/// Kernels before 6.1, and some file systems, do not tell: then the largest that is usual.
void find_direct_units(const HostBlocks& host, std::uint32_t host_block, BlockTraits& traits) {
    const std::uint32_t otherwise = host.block_device ? host_block : kPage;
    traits.file_unit = unit_or(host.direct_offset, otherwise);
    traits.memory_unit = traits.file_unit;
    if (host.direct_memory != 0 && std::has_single_bit(host.direct_memory))
        traits.memory_unit = std::min<std::uint64_t>(host.direct_memory, kMaxBlockUnit);
    // Pieces of memory follow each other at multiples of the one, and must be multiples of both.
    traits.file_unit = std::max(traits.file_unit, traits.memory_unit);
}

}  // namespace

Result<> decide_blocks(const HostBlocks& host, const RequestedBlockSizes& requested,
                       BlockInfo& info, BlockTraits& traits) {
    const std::uint32_t host_block = unit_or(host.logical, kSector);
    info.logical_block =
        requested.logical.value_or(host.block_device ? std::min(host_block, kPage) : kSector);
    if (traits.direct)
        find_direct_units(host, host_block, traits);
    traits.partial_units = traits.direct && traits.file_unit > info.logical_block;
    if (host.block_device) {
        traits.zero_unit = std::max<std::size_t>(traits.direct ? 1 : host.page, host_block);
        traits.discard_unit = host_block;
    }

    // Of a file the file system's, but not the large ones that are for speed only.
    const std::uint32_t physical = host.block_device
                                       ? unit_or(host.physical, host_block)
                                       : std::min(unit_or(host.physical, kPage), kPage);
    const auto direct = static_cast<std::uint32_t>(traits.direct ? traits.file_unit : 0);
    info.physical_block = std::max({physical, host_block, direct, info.logical_block});
    info.discard_block = info.physical_block;
    constexpr std::uint64_t kMaxDiscardBlock = 1 << 30;
    if (host.discard != 0 && host.discard % info.logical_block == 0 &&
        host.discard <= kMaxDiscardBlock)
        info.discard_block = static_cast<std::uint32_t>(host.discard);

    if (requested.physical && *requested.physical < info.logical_block)
        return std::unexpected(
            Error{
                ErrorKind::Config,
                cat("disk ", info.name, ": physical_block_size ", *requested.physical,
                    " is less than the device's logical blocks of ", info.logical_block, " bytes")}
                .hint(cat("Give ", info.logical_block,
                          " or more, or show the guest smaller blocks with block_size=512.")));
    info.physical_block = requested.physical.value_or(info.physical_block);
    return {};
}

}  // namespace vmm
