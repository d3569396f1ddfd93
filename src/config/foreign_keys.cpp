// SPDX-License-Identifier: Apache-2.0
#include "config/foreign_keys.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "config/suggest.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

using enum ForeignKey::Normal;

constexpr std::string_view kNoIommu = "A virtual IOMMU is not supported yet: leave it out.";
constexpr std::string_view kOneSegment = "There is one PCI segment, 0: leave it out.";
constexpr std::string_view kNoPlaces = "PCI addresses cannot be chosen: leave it out.";
constexpr std::string_view kNoVhostUser =
    "Devices of other processes (vhost-user) are not supported yet: leave it out.";
constexpr std::string_view kNoLimits = "Rate limits are not supported yet: leave it out.";
constexpr std::string_view kNoHotplug =
    "Memory cannot be added or removed later, yet: leave it out.";
constexpr std::string_view kOnTheTap =
    "The host's side has its address from the host: ip addr add ADDRESS/BITS dev TAP.";
constexpr std::string_view kOffloads =
    "Offloads are negotiated with the driver; switch them off in the guest (ethtool -K).";
constexpr std::string_view kIdentity =
    "The machine's identity cannot be set yet, except for its name (name).";
constexpr std::string_view kNoConfidential = "Confidential guests are not supported yet.";
constexpr std::string_view kNoDevice = "Such a device is not supported yet: leave it out.";
constexpr std::string_view kNoSandbox = "There is no sandbox yet: leave it out.";
constexpr std::string_view kOneImage = "Images are raw files: qemu-img convert -O raw IN OUT.";

constexpr auto kKeys = std::array{
    ForeignKey{"VmConfig", "balloon", Absent, {}, kNoDevice},
    ForeignKey{"VmConfig", "fs", Empty, {}, "Shared directories are not supported yet."},
    ForeignKey{"VmConfig", "pmem", Empty, {}, "Give the file as a disk: disks[].path."},
    ForeignKey{"VmConfig", "generic_vhost_user", Empty, {}, kNoVhostUser},
    ForeignKey{"VmConfig", "debug_console", Nested, "DebugConsoleConfig"},
    ForeignKey{
        "VmConfig", "devices", Empty, {}, "Devices of the host (VFIO) are not supported yet."},
    ForeignKey{"VmConfig", "user_devices", Empty, {}, kNoDevice},
    ForeignKey{"VmConfig", "vdpa", Empty, {}, kNoDevice},
    ForeignKey{"VmConfig",
               "vsock",
               Absent,
               {},
               "Give a port between host and guest instead: console_ports, with name and socket."},
    ForeignKey{"VmConfig", "iommu", Off, {}, kNoIommu},
    ForeignKey{"VmConfig", "watchdog", Off, {}, kNoDevice},
    ForeignKey{"VmConfig", "rtc", Absent, {}, "The guest's clock is the host's: leave it out."},
    ForeignKey{"VmConfig", "tpm", Absent, {}, kNoDevice},
    ForeignKey{"VmConfig", "numa", Empty, {}, "There is one NUMA node: leave it out."},
    ForeignKey{"VmConfig", "pci_segments", Empty, {}, kOneSegment},
    ForeignKey{"VmConfig", "rate_limit_groups", Empty, {}, kNoLimits},
    ForeignKey{"VmConfig", "sgx_epc", Empty, {}, kNoDevice},
    ForeignKey{"VmConfig", "gdb", Off, {}, "A debugger cannot be attached yet."},
    ForeignKey{"VmConfig", "landlock_enable", Off, {}, kNoSandbox},
    ForeignKey{"VmConfig", "landlock_rules", Empty, {}, kNoSandbox},
    ForeignKey{"VmConfig", "preserved_fds", Empty, {}, "Leave it out."},
    ForeignKey{"VmConfig", "platform", Nested, "PlatformConfig"},
    ForeignKey{"PayloadConfig", "igvm", Absent, {}, kNoConfidential},
    ForeignKey{"PayloadConfig", "host_data", Absent, {}, kNoConfidential},
    ForeignKey{"PayloadConfig", "fw_cfg_config", Absent, {}, kNoDevice},
    ForeignKey{"CpusConfig", "kvm_hyperv", Off, {}, "Hyper-V interfaces are not supported yet."},
    ForeignKey{"CpusConfig", "max_phys_bits", Number, "46",
               "The guest has as many physical address bits as the host."},
    ForeignKey{"CpusConfig", "features", Nested, "CpuFeatures"},
    ForeignKey{
        "CpusConfig", "nested", On, {}, "Virtualisation in the guest follows the host's KVM."},
    ForeignKey{"CpusConfig", "core_scheduling", Text, "vm",
               "Core scheduling is not supported yet: leave it out."},
    ForeignKey{"CpusConfig", "profile", Text, "host", "The guest's CPU model is the host's."},
    ForeignKey{"CpuFeatures", "amx", Off, {}, "AMX is not supported yet: leave it out."},
    ForeignKey{"MemoryConfig", "mergeable", Off, {}, "Merging pages (KSM) is not supported yet."},
    ForeignKey{"MemoryConfig", "hotplug_method", Text, "acpi", kNoHotplug},
    ForeignKey{"MemoryConfig", "hotplug_size", Zero, {}, kNoHotplug},
    ForeignKey{"MemoryConfig", "hotplugged_size", Zero, {}, kNoHotplug},
    ForeignKey{"MemoryConfig",
               "reserve",
               Off,
               {},
               "Write prefault=on to have all of RAM before the guest starts."},
    ForeignKey{"MemoryConfig", "zones", Empty, {}, "There is one memory zone: give its size."},
    ForeignKey{"SerialConfig", "iommu", Off, {}, "A serial port does no DMA: leave it out."},
    ForeignKey{"ConsoleConfig", "iommu", Off, {}, kNoIommu},
    ForeignKey{"ConsoleConfig", "pci_segment", Zero, {}, kOneSegment},
    ForeignKey{"ConsoleConfig", "pci_device_id", Absent, {}, kNoPlaces},
    ForeignKey{"ConsoleConfig", "id", Absent, {}, "Its name is console: leave it out."},
    ForeignKey{"DebugConsoleConfig", "mode", Text, "off", kNoDevice},
    ForeignKey{"DebugConsoleConfig", "file", Absent, {}, kNoDevice},
    ForeignKey{"DebugConsoleConfig", "iobase", Number, "233", kNoDevice},
    ForeignKey{"DiskConfig", "image_type", Text, "unknown"},  // what it finds out is raw here
    ForeignKey{"DiskConfig", "iommu", Off, {}, kNoIommu},
    ForeignKey{"DiskConfig", "pci_segment", Zero, {}, kOneSegment},
    ForeignKey{"DiskConfig", "pci_device_id", Absent, {}, kNoPlaces},
    ForeignKey{"DiskConfig", "vhost_user", Off, {}, kNoVhostUser},
    ForeignKey{"DiskConfig", "vhost_socket", Absent, {}, kNoVhostUser},
    ForeignKey{"DiskConfig", "socket", Absent, {}, kNoVhostUser},
    ForeignKey{"DiskConfig", "rate_limiter_config", Absent, {}, kNoLimits},
    ForeignKey{"DiskConfig", "rate_limit_group", Absent, {}, kNoLimits},
    ForeignKey{"DiskConfig", "bw_size", Zero, {}, kNoLimits},
    ForeignKey{"DiskConfig", "bw_one_time_burst", Zero, {}, kNoLimits},
    ForeignKey{"DiskConfig", "bw_refill_time", Zero, {}, kNoLimits},
    ForeignKey{"DiskConfig", "ops_size", Zero, {}, kNoLimits},
    ForeignKey{"DiskConfig", "ops_one_time_burst", Zero, {}, kNoLimits},
    ForeignKey{"DiskConfig", "ops_refill_time", Zero, {}, kNoLimits},
    ForeignKey{"DiskConfig",
               "queue_affinity",
               Empty,
               {},
               "One thread serves all queues of a disk; pin it with taskset (io-disk0)."},
    ForeignKey{"DiskConfig", "backing_files", Off, {}, kOneImage},
    ForeignKey{"DiskConfig",
               "sparse",
               On,
               {},
               "Discarded blocks are always given back to the host's file system."},
    ForeignKey{"DiskConfig", "lock_granularity", Text, "byterange",
               "How a disk is locked cannot be chosen: leave it out."},
    ForeignKey{"DiskConfig",
               "disable_io_uring",
               Off,
               {},
               "Without io_uring on the host threads do its work by themselves: leave it out."},
    ForeignKey{"DiskConfig", "disable_aio", Off, {}, "Linux AIO is never used: leave it out."},
    ForeignKey{"NetConfig", "iommu", Off, {}, kNoIommu},
    ForeignKey{"NetConfig", "pci_segment", Zero, {}, kOneSegment},
    ForeignKey{"NetConfig", "pci_device_id", Absent, {}, kNoPlaces},
    ForeignKey{"NetConfig", "vhost_user", Off, {}, kNoVhostUser},
    ForeignKey{"NetConfig", "vhost_socket", Absent, {}, kNoVhostUser},
    ForeignKey{"NetConfig", "socket", Absent, {}, kNoVhostUser},
    ForeignKey{"NetConfig", "vhost_mode", Text, "client", kNoVhostUser},
    ForeignKey{"NetConfig", "rate_limiter_config", Absent, {}, kNoLimits},
    ForeignKey{"NetConfig", "bw_size", Zero, {}, kNoLimits},
    ForeignKey{"NetConfig", "bw_one_time_burst", Zero, {}, kNoLimits},
    ForeignKey{"NetConfig", "bw_refill_time", Zero, {}, kNoLimits},
    ForeignKey{"NetConfig", "ops_size", Zero, {}, kNoLimits},
    ForeignKey{"NetConfig", "ops_one_time_burst", Zero, {}, kNoLimits},
    ForeignKey{"NetConfig", "ops_refill_time", Zero, {}, kNoLimits},
    ForeignKey{"NetConfig", "ip", Absent, {}, kOnTheTap},
    ForeignKey{"NetConfig", "mask", Absent, {}, kOnTheTap},
    ForeignKey{"NetConfig",
               "host_mac",
               Absent,
               {},
               "The host's side has its MAC address from the host: ip link set TAP address MAC."},
    ForeignKey{"NetConfig", "offload_tso", On, {}, kOffloads},
    ForeignKey{"NetConfig", "offload_ufo", On, {}, kOffloads},
    ForeignKey{"NetConfig", "offload_csum", On, {}, kOffloads},
    ForeignKey{"RngConfig", "iommu", Off, {}, kNoIommu},
    ForeignKey{"RngConfig", "pci_segment", Zero, {}, kOneSegment},
    ForeignKey{"RngConfig", "pci_device_id", Absent, {}, kNoPlaces},
    ForeignKey{"RngConfig", "id", Absent, {}, "Its name is rng: leave it out."},
    ForeignKey{"PlatformConfig", "num_pci_segments", Number, "1", kOneSegment},
    ForeignKey{"PlatformConfig", "iommu_segments", Empty, {}, kNoIommu},
    ForeignKey{"PlatformConfig", "iommu_address_width_bits", Number, "64", kNoIommu},
    ForeignKey{"PlatformConfig", "serial_number", Absent, {}, kIdentity},
    ForeignKey{"PlatformConfig", "uuid", Absent, {}, kIdentity},
    ForeignKey{"PlatformConfig", "oem_strings", Empty, {}, kIdentity},
    ForeignKey{"PlatformConfig", "system_serial_number", Absent, {}, kIdentity},
    ForeignKey{"PlatformConfig", "system_uuid", Absent, {}, kIdentity},
    ForeignKey{"PlatformConfig", "system_manufacturer", Absent, {}, kIdentity},
    ForeignKey{"PlatformConfig", "system_product_name", Absent, {}, kIdentity},
    ForeignKey{"PlatformConfig", "system_version", Absent, {}, kIdentity},
    ForeignKey{"PlatformConfig", "system_family", Absent, {}, kIdentity},
    ForeignKey{"PlatformConfig", "system_sku_number", Absent, {}, kIdentity},
    ForeignKey{"PlatformConfig", "chassis_asset_tag", Absent, {}, kIdentity},
    ForeignKey{"PlatformConfig", "tdx", Off, {}, kNoConfidential},
    ForeignKey{"PlatformConfig", "sev_snp", Off, {}, kNoConfidential},
    ForeignKey{"PlatformConfig", "iommufd", Off, {}, kNoDevice},
    ForeignKey{"PlatformConfig", "vfio_p2p_dma", On, {}, kNoDevice},
};

}  // namespace

const ForeignKey* find_foreign_key(std::string_view object, std::string_view key) {
    const auto* const found = std::ranges::find_if(
        kKeys, [&](const ForeignKey& each) { return each.object == object && each.key == key; });
    return found == kKeys.end() ? nullptr : found;
}

std::span<const ForeignKey> foreign_keys() {
    return kKeys;
}

Error refused_foreign_key(const ForeignKey& key, std::string_view path) {
    const auto normal = normal_in_json(key);
    const bool has_default = normal != "null";
    return Error{ErrorKind::Config,
                 cat(in_quotes(path), " of Cloud Hypervisor's configuration is not supported",
                     has_default ? ", except with its default, " : "", has_default ? normal : "")}
        .hint(std::string{key.advice.empty() ? "Leave it out." : key.advice});
}

std::string_view normal_in_json(const ForeignKey& key) {
    switch (key.normal) {
        case Off:
            return "false";
        case On:
            return "true";
        case Zero:
            return "0";
        case Text:
        case Number:
            return key.text;
        case Empty:
            return "[]";
        case Absent:
        case Nested:
            break;
    }
    return "null";
}

bool is_normal_text(const ForeignKey& key, std::string_view text) {
    switch (key.normal) {
        case Off:
        case On: {
            const auto value = parse_switch(text);
            return value && *value == (key.normal == On);
        }
        case Zero:
        case Number: {
            const auto value = parse_size(text);
            return value && cat(*value) == (key.normal == Zero ? "0" : key.text);
        }
        case Text: {
            const std::array choices{key.text};
            return parse_choice(text, choices).has_value();
        }
        case Absent:
        case Empty:
        case Nested:
            break;
    }
    return false;
}

}  // namespace vmm::config
