#include "machine/disk_sizes.hpp"

#include "vmm/log.hpp"

namespace vmm::machine {

void look_at_sizes(std::span<virtio_blk::Blk* const> disks) {
    for (virtio_blk::Blk* const disk : disks)
        if (const auto looked = disk->resized(); !looked)
            log::warn("the size of a disk stays as it was: ", looked.error().one_line());
}

}  // namespace vmm::machine
