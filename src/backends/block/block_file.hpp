// SPDX-License-Identifier: Apache-2.0
// A raw disk image or a block device of the host as the medium of a disk.
//
// The format is never guessed: byte 0 of the file is byte 0 of the disk. Read-only is the host's
// O_RDONLY. The file stays locked (open file description locks: shared for a read-only disk) while
// this exists, so that no two guests write to it.
// Threads: any; each queue belongs to one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "vmm/block_backend.hpp"
#include "vmm/error.hpp"

namespace vmm {

struct BlockFileOptions {
    std::string path;
    bool readonly = false;
    bool direct = false;  ///< O_DIRECT: past the host's page cache
    /// Blocks that the guest sees, in bytes; not given: a device's own, 512 for a file.
    std::optional<std::uint32_t> logical_block;
    std::optional<std::uint32_t> physical_block;
    bool io_uring = true;  ///< false: by threads, as where the host forbids io_uring
};

/// Errors name the file and are of kind Config where the user can mend it with another flag.
Result<std::unique_ptr<BlockBackend>> open_block_file(const BlockFileOptions& options);

}  // namespace vmm
