// SPDX-License-Identifier: Apache-2.0
// Which blocks the guest sees of a disk, and how the host's are met.
//
// The two have little to do with each other: the guest's logical block is what its partition table
// and its file systems were made with, the host's is what its device or O_DIRECT takes. Where the
// host's is the larger one, what the guest does with less goes through a bounce buffer and
// read-modify-write (block_io.hpp).
// Threads: none of its own; pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backends/block/block_io.hpp"
#include "vmm/block_backend.hpp"
#include "vmm/error.hpp"

namespace vmm {

/// What the host says of a file or device, in bytes; 0: it does not say.
struct HostBlocks {
    bool block_device = false;
    std::uint64_t logical = 0;   ///< BLKSSZGET
    std::uint64_t physical = 0;  ///< BLKPBSZGET; of a file st_blksize
    std::uint64_t discard = 0;   ///< granularity, from sysfs
    std::uint64_t page = 4096;   ///< of the page cache
    /// STATX_DIOALIGN, or what was found by trying.
    std::uint64_t direct_memory = 0;
    std::uint64_t direct_offset = 0;
};

/// What the configuration asks for.
struct RequestedBlockSizes {
    std::optional<std::uint32_t> logical;
    std::optional<std::uint32_t> physical;
};

/// Fills in the blocks of `info`, and of `traits` the units; `traits.direct` says which count.
Result<> decide_blocks(const HostBlocks& host, const RequestedBlockSizes& requested,
                       BlockInfo& info, BlockTraits& traits);

}  // namespace vmm
