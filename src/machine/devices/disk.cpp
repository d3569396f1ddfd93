// SPDX-License-Identifier: Apache-2.0
// Disks: files and block devices of the host.
#include <utility>

#include "backends/block/block_file.hpp"
#include "config/kinds/kinds.hpp"
#include "config/limits.hpp"
#include "machine/devices/kinds.hpp"
#include "virtio_blk/virtio_blk.hpp"

namespace vmm::machine {
namespace {

// A configuration that is let through must not fail here.
static_assert(config::kMaxDiskRequests <= virtio_blk::kMaxOutstanding);
static_assert(config::kMaxDiskQueues <= virtio_blk::kMaxQueues);
static_assert(config::kMaxQueueSize <= virtio::Queue::kMaxSize);

Result<MadeDevice> make(const DiskConfig& disk, const std::string& id, const DeviceParts& parts) {
    auto backend = VMM_TRY(open_block_file({.path = disk.path,
                                            .readonly = disk.readonly,
                                            .direct = disk.direct,
                                            .logical_block = disk.block_size,
                                            .physical_block = disk.physical_block_size}));
    auto body = VMM_TRY(virtio_blk::Blk::create({.name = id,
                                                 .serial = disk.serial,
                                                 .queues = disk.num_queues,
                                                 .queue_size = disk.queue_size},
                                                std::move(backend)));
    auto* const blk = body.get();
    auto device = VMM_TRY(make_virtio_device(std::move(body), disk.packed, parts));
    return MadeDevice{std::move(device), blk};
}

}  // namespace

std::vector<NewDevice> disk_devices(const VmConfig& config) {
    std::vector<NewDevice> wanted;
    wanted.reserve(config.disks.size());
    for (const auto& disk : config.disks)
        wanted.push_back({config::kDisk.name_of(config, wanted.size()),
                          [&disk](const std::string& id, const DeviceParts& parts) {
                              return make(disk, id, parts);
                          },
                          disk.pci_device_id});
    return wanted;
}

}  // namespace vmm::machine
