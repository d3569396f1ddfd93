// SPDX-License-Identifier: Apache-2.0
// Disks.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string>

#include "config/foreign_keys.hpp"
#include "config/kinds/kinds.hpp"
#include "config/kinds/rules.hpp"
#include "config/limits.hpp"
#include "config/suggest.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

using enum ForeignKey::Normal;

constexpr std::array<std::string_view, 1> kImageTypeNames{"raw"};
static_assert(kImageTypeNames[static_cast<std::size_t>(ImageType::Raw)] == "raw");

constexpr auto kKeys = std::array{
    key<&DiskConfig::path>({.name = "path",
                            .value = "FILE",
                            .help = "Raw disk image or block device; must be given",
                            .required = true}),
    key<&DiskConfig::image_type>(
        {.name = "image_type",
         .help = "Format of the image; there is one",
         .choices = kImageTypeNames,
         .advice = "Make a raw image of it: qemu-img convert -O raw IN OUT."}),
    key<&DiskConfig::readonly>(
        {.name = "readonly", .alias = "ro", .help = "The guest cannot write to it"}),
    key<&DiskConfig::direct>(
        {.name = "direct", .help = "Go around the host's page cache (O_DIRECT)"}),
    key<&DiskConfig::block_size>(
        {.name = "block_size",
         .help = "Logical block size that the guest sees, 512 or 4096; if not given, the host "
                 "device's, or 512 for a file",
         .type = Type::Size,
         .least = kMinBlockSize,
         .most = kMaxBlockSize}),
    key<&DiskConfig::physical_block_size>(
        {.name = "physical_block_size",
         .help = "Physical block size that the guest sees, a power of two from block_size on; the "
                 "host's if not given",
         .type = Type::Size,
         .least = kMinBlockSize,
         .most = kMaxPhysicalBlockSize}),
    key<&DiskConfig::num_queues>(
        {.name = "num_queues", .help = "Request queues", .least = 1, .most = kMaxDiskQueues}),
    key<&DiskConfig::queue_size>({.name = "queue_size",
                                  .help = "Descriptors in each queue, a power of two",
                                  .least = 2,
                                  .most = kMaxQueueSize}),
    key<&DiskConfig::packed>({.name = "packed", .help = "Offer the packed ring"}),
    key<&DiskConfig::serial>(
        {.name = "serial", .help = "Serial number that the guest sees", .most = 20}),
    key<&DiskConfig::id>({.name = "id", .help = "Name of the device; made up if not given"}),
    slot_key<&DiskConfig::pci_device_id>(),
};

Result<> check_blocks(const DiskConfig& disk, const std::string& path) {
    const auto logical = disk.block_size;
    if (logical && *logical != kMinBlockSize && *logical != kMaxBlockSize)
        return bad(
            cat(path, ".block_size ", *logical, " is neither ", kMinBlockSize, " nor ",
                kMaxBlockSize),
            cat("Give ", kMinBlockSize, ", which every guest takes, or ", kMaxBlockSize, "."));
    const auto physical = disk.physical_block_size;
    if (physical && !std::has_single_bit(*physical))
        return bad(cat(path, ".physical_block_size ", *physical, " is not a power of two"),
                   cat("Give ", std::bit_floor(*physical), "."));
    if (physical && logical && *physical < *logical)
        return bad(cat(path, ".physical_block_size ", *physical, " is less than its block_size ",
                       *logical),
                   cat("Give ", *logical, " or more, or leave it out."));
    return {};
}

Result<> check_disk(const DiskConfig& disk, const std::string& path) {
    if (disk.path.empty())
        return bad(cat(path, " (--disk) has no path"), "Name its image: path=FILE.");
    const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7f; };
    if (std::ranges::any_of(disk.serial, is_control))
        return bad(cat(path, ".serial: ", in_quotes(disk.serial), " has a control character"),
                   "Use letters, digits and signs.");
    VMM_TRY(check_blocks(disk, path));
    VMM_TRY(check_queue_size(path, disk.queue_size));
    if (std::uint64_t{disk.num_queues} * disk.queue_size > kMaxDiskRequests)
        return bad(cat(path, ".num_queues ", disk.num_queues, " with queue_size ", disk.queue_size,
                       " are ", std::uint64_t{disk.num_queues} * disk.queue_size,
                       " requests at a time, more than ", kMaxDiskRequests),
                   cat("Give num_queues=", kMaxDiskRequests / disk.queue_size,
                       " or a smaller queue_size; as many queues as vCPUs are enough."));
    return {};
}

constexpr std::string_view kOneImage = "Images are raw files: qemu-img convert -O raw IN OUT.";

constexpr auto kForeignKeys = std::array{
    ForeignKey{"image_type", Text, "unknown"},  // what it finds out is raw here
    ForeignKey{"iommu", Off, {}, kNoIommu},
    ForeignKey{"pci_segment", Zero, {}, kOneSegment},
    ForeignKey{"vhost_user", Off, {}, kNoVhostUser},
    ForeignKey{"vhost_socket", Absent, {}, kNoVhostUser},
    ForeignKey{"socket", Absent, {}, kNoVhostUser},
    ForeignKey{"rate_limiter_config", Absent, {}, kNoLimits},
    ForeignKey{"rate_limit_group", Absent, {}, kNoLimits},
    ForeignKey{"bw_size", Zero, {}, kNoLimits},
    ForeignKey{"bw_one_time_burst", Zero, {}, kNoLimits},
    ForeignKey{"bw_refill_time", Zero, {}, kNoLimits},
    ForeignKey{"ops_size", Zero, {}, kNoLimits},
    ForeignKey{"ops_one_time_burst", Zero, {}, kNoLimits},
    ForeignKey{"ops_refill_time", Zero, {}, kNoLimits},
    ForeignKey{"queue_affinity",
               Empty,
               {},
               "One thread serves all queues of a disk; pin it with taskset (io-disk0)."},
    ForeignKey{"backing_files", Off, {}, kOneImage},
    ForeignKey{
        "sparse", On, {}, "Discarded blocks are always given back to the host's file system."},
    ForeignKey{"lock_granularity", Text, "byterange",
               "How a disk is locked cannot be chosen: leave it out."},
    ForeignKey{"disable_io_uring",
               Off,
               {},
               "Without io_uring on the host threads do its work by themselves: leave it out."},
    ForeignKey{"disable_aio", Off, {}, "Linux AIO is never used: leave it out."},
};

Result<> check(const VmConfig& config) {
    for (std::size_t i = 0; i < config.disks.size(); ++i)
        VMM_TRY(check_disk(config.disks[i], cat("disks[", i, "]")));
    return {};
}

void add_files(const VmConfig& config, FileList& files) {
    for (std::size_t i = 0; i < config.disks.size(); ++i)
        files.add({.key = "disks", .index = i, .flag = "--disk"},
                  config.disks[i].readonly ? FileUse::ReadonlyDisk : FileUse::Disk,
                  config.disks[i].path);
}

}  // namespace

constexpr DeviceSchema kDisk{.table = {.name = "DiskConfig",
                                       .help = "A virtio block device",
                                       .keys = kKeys,
                                       .defaults = defaults_of<DiskConfig>,
                                       .foreign = kForeignKeys},
                             .name = "disk",
                             .pci_devices = size_of_list<&VmConfig::disks>,
                             .id = id_in_list<&VmConfig::disks>,
                             .slot = slot_in_list<&VmConfig::disks>,
                             .check = check,
                             .add_files = add_files};

}  // namespace vmm::config
