// SPDX-License-Identifier: Apache-2.0
#include "machine/disk_sizes.hpp"

#include "vmm/error_record.hpp"
#include "vmm/log.hpp"

namespace vmm::machine {

void look_at_sizes(std::span<virtio_blk::Blk* const> disks) {
    for (virtio_blk::Blk* const disk : disks)
        if (const auto looked = disk->resized(); !looked)
            log::warn("the size of a disk stays as it was: ", record_of(looked.error()));
}

}  // namespace vmm::machine
