// SPDX-License-Identifier: Apache-2.0
// Disks whose medium may have another size now.
#pragma once

#include <span>

#include "virtio_blk/virtio_blk.hpp"

namespace vmm::machine {

/// Each one looks, and tells its driver of a change. One that cannot look costs a warning and keeps
/// the size it had. Threads: any that holds no device's lock.
void look_at_sizes(std::span<virtio_blk::Blk* const> disks);

}  // namespace vmm::machine
