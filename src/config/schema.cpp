// SPDX-License-Identifier: Apache-2.0
#include "config/schema.hpp"

#include <algorithm>
#include <array>

#include "config/kinds/kinds.hpp"
#include "config/limits.hpp"

namespace vmm::config {
namespace {

using enum ForeignKey::Normal;

constexpr std::string_view kNoHotplug =
    "Memory cannot be added or removed later, yet: leave it out.";
constexpr std::string_view kIdentity =
    "The machine's identity cannot be set yet, except for its name (name).";
constexpr std::string_view kNoConfidential = "Confidential guests are not supported yet.";

constexpr std::array<std::string_view, 2> kOnResetNames{"reset", "exit"};
constexpr std::array<std::string_view, 2> kOnCrashNames{"exit", "reset"};
constexpr std::array<std::string_view, 4> kOnPanicNames{"exit", "reset", "pause", "continue"};
constexpr std::array<std::string_view, 2> kVirtioNotifyNames{"auto", "mmio"};
constexpr std::array<std::string_view, 3> kAutoNames{"auto", "on", "off"};

constexpr auto kTopologyKeys = std::array{
    key<&CpuTopology::threads_per_core>({.name = "threads_per_core",
                                         .help = "Hardware threads in each core",
                                         .least = 1,
                                         .most = kMaxThreadsPerCore}),
    key<&CpuTopology::cores_per_die>(
        {.name = "cores_per_die", .help = "Cores in each die", .least = 1}),
    key<&CpuTopology::dies_per_package>({.name = "dies_per_package",
                                         .help = "Dies in each package",
                                         .least = 1,
                                         .most = kMaxDiesPerPackage}),
    key<&CpuTopology::packages>(
        {.name = "packages", .help = "Packages, also called sockets", .least = 1}),
};
constexpr Object kTopology{.name = "CpuTopology",
                           .help = "How the vCPUs are arranged; the product is cpus.max_vcpus",
                           .keys = kTopologyKeys,
                           .defaults = defaults_of<CpuTopology>,
                           .text_form = TextForm::Colons};

constexpr auto kAffinityKeys = std::array{
    key<&CpuAffinity::vcpu>(
        {.name = "vcpu", .help = "Number of the vCPU", .most = kMaxVcpus - 1, .required = true}),
    key<&CpuAffinity::host_cpus>({.name = "host_cpus",
                                  .help = "Numbers of the host CPUs that it may run on; as text "
                                          "also ranges, such as 4-6",
                                  .most = kMaxHostCpu,
                                  .required = true}),
};
constexpr Object kAffinity{.name = "CpuAffinity",
                           .help = "The host CPUs that one vCPU's thread is pinned to",
                           .keys = kAffinityKeys,
                           .defaults = defaults_of<CpuAffinity>,
                           .text_form = TextForm::At};

constexpr auto kCpusKeys = std::array{
    key<&CpusConfig::boot_vcpus>({.name = "boot_vcpus",
                                  .alias = "boot",
                                  .flag = "--num-cpu",
                                  .value = "N",
                                  .help = "vCPUs that the guest starts with",
                                  .least = 1,
                                  .most = kMaxVcpus}),
    key<&CpusConfig::max_vcpus>(
        {.name = "max_vcpus",
         .alias = "max",
         .help = "vCPUs that the guest can have at most; as many as boot_vcpus if not given",
         .least = 1,
         .most = kMaxVcpus}),
    key<&CpusConfig::topology>(
        {.name = "topology",
         .value = "T:C:D:P",
         .help = "Threads per core, cores per die, dies per package, packages; one package with "
                 "single-threaded cores if not given",
         .object = &kTopology}),
    key<&CpusConfig::affinity>(
        {.name = "affinity",
         .value = "[VCPU@[CPUS],...]",
         .help = "Host CPUs that vCPUs are pinned to, such as [0@[2,3],1@[4-6]]; a vCPU that is "
                 "not named runs wherever vmm itself may",
         .object = &kAffinity}),
};
constexpr auto kForeignCpusKeys = std::array{
    ForeignKey{"kvm_hyperv", Off, {}, "Hyper-V interfaces are not supported yet."},
    ForeignKey{"max_phys_bits", Number, "46",
               "The guest has as many physical address bits as the host."},
    ForeignKey{"features", Nested, "CpuFeatures"},
    ForeignKey{"nested", On, {}, "Virtualisation in the guest follows the host's KVM."},
    ForeignKey{"core_scheduling", Text, "vm",
               "Core scheduling is not supported yet: leave it out."},
    ForeignKey{"profile", Text, "host", "The guest's CPU model is the host's."},
};
constexpr auto kForeignCpuFeatures = std::array{
    ForeignKey{"amx", Off, {}, "AMX is not supported yet: leave it out."},
};
constexpr auto kForeignBelowCpus = std::array{ForeignObject{"CpuFeatures", kForeignCpuFeatures}};
constexpr Object kCpus{.name = "CpusConfig",
                       .help = "The guest's processors",
                       .keys = kCpusKeys,
                       .defaults = defaults_of<CpusConfig>,
                       .foreign = kForeignCpusKeys,
                       .foreign_below = kForeignBelowCpus};

constexpr auto kMemoryKeys = std::array{
    key<&MemoryConfig::size>({.name = "size",
                              .help = "How much RAM the guest has, a multiple of 4 KiB",
                              .type = Type::Size,
                              .least = kMinMemory,
                              .most = kMaxMemory}),
    key<&MemoryConfig::shared>(
        {.name = "shared",
         .help = "Let other processes map the RAM, as vhost-user needs; off if not given, RAM from "
                 "a file is always shared"}),
    key<&MemoryConfig::hugepages>(
        {.name = "hugepages", .help = "Take RAM from the host's huge page pool"}),
    key<&MemoryConfig::hugepage_size>(
        {.name = "hugepage_size",
         .help = "Size of those huge pages, a power of two; the host's default if not given",
         .type = Type::Size,
         .least = 64ULL << 10,
         .most = 16ULL << 30}),
    key<&MemoryConfig::prefault>(
        {.name = "prefault", .help = "Back all of RAM before the guest starts"}),
    key<&MemoryConfig::thp>(
        {.name = "thp", .help = "Let the host back RAM with transparent huge pages"}),
    key<&MemoryConfig::file>(
        {.name = "file",
         .value = "FILE",
         .help =
             "Use this file as RAM, made if it is not there and at least as large as size; what "
             "is in it is lost, all of its space is taken at the start"}),
};
constexpr auto kForeignMemoryKeys = std::array{
    ForeignKey{"mergeable", Off, {}, "Merging pages (KSM) is not supported yet."},
    ForeignKey{"hotplug_method", Text, "acpi", kNoHotplug},
    ForeignKey{"hotplug_size", Zero, {}, kNoHotplug},
    ForeignKey{"hotplugged_size", Zero, {}, kNoHotplug},
    ForeignKey{"reserve", Off, {}, "Write prefault=on to have all of RAM before the guest starts."},
    ForeignKey{"zones", Empty, {}, "There is one memory zone: give its size."},
};
constexpr Object kMemory{.name = "MemoryConfig",
                         .help = "The guest's RAM",
                         .keys = kMemoryKeys,
                         .defaults = defaults_of<MemoryConfig>,
                         .foreign = kForeignMemoryKeys};

constexpr auto kPayloadKeys = std::array{
    key<&PayloadConfig::kernel>(
        {.name = "kernel",
         .flag = "--kernel,-k",
         .value = "FILE",
         .help = "Linux kernel to start: bzImage, ELF vmlinux or PVH ELF, also compressed"}),
    key<&PayloadConfig::initramfs>(
        {.name = "initramfs",
         .flag = "--initramfs,-i",
         .value = "FILE",
         .help = "Initial file system; give it again and the archives are joined in that order"}),
    key<&PayloadConfig::cmdline>({.name = "cmdline",
                                  .flag = "--cmd-line,--cmdline,-p",
                                  .value = "TEXT",
                                  .help = "Command line of the guest's kernel",
                                  .most = kMaxCmdline}),
    key<&PayloadConfig::firmware>({.name = "firmware",
                                   .flag = "--firmware",
                                   .value = "FILE",
                                   .help = "Firmware to start in place of a kernel"}),
    key<&PayloadConfig::unpack>(
        {.name = "unpack",
         .flag = "--unpack",
         .help = "Unpack a bzImage on the host, which is faster than in the guest",
         .choices = kAutoNames}),
    key<&PayloadConfig::kaslr>(
        {.name = "kaslr",
         .flag = "--kaslr",
         .help = "Move a kernel that is unpacked on the host to a random virtual address; one that "
                 "unpacks itself does so anyway"}),
    key<&PayloadConfig::auto_cmdline>(
        {.name = "auto_cmdline",
         .flag = "--auto-cmdline",
         .help = "Add what a kernel starts better with: console= when none is named, and no "
                 "test of the jitter entropy source"}),
};
constexpr auto kForeignPayloadKeys = std::array{
    ForeignKey{"igvm", Absent, {}, kNoConfidential},
    ForeignKey{"host_data", Absent, {}, kNoConfidential},
    ForeignKey{"fw_cfg_config", Absent, {}, kNoDevice},
};
constexpr Object kPayload{.name = "PayloadConfig",
                          .help = "What the guest runs",
                          .keys = kPayloadKeys,
                          .defaults = defaults_of<PayloadConfig>,
                          .foreign = kForeignPayloadKeys};

constexpr std::array<std::string_view, 3> kLandlockAccessNames{"r", "w", "rw"};
constexpr auto kLandlockRuleKeys = std::array{
    key<&LandlockRule::path>({.name = "path",
                              .value = "PATH",
                              .help = "File, or directory with everything below it, that exists",
                              .required = true}),
    key<&LandlockRule::access>({.name = "access",
                                .help = "Whether it may be read, written to, or both; writing to a "
                                        "directory is also making and removing what is in it",
                                .choices = kLandlockAccessNames,
                                .required = true}),
};
constexpr Object kLandlockRule{.name = "LandlockConfig",
                               .help = "A path that the sandbox leaves to a running machine",
                               .keys = kLandlockRuleKeys,
                               .defaults = defaults_of<LandlockRule>};

template <std::size_t... Sizes>
constexpr auto joined(const std::array<Key, Sizes>&... parts) {
    std::array<Key, (Sizes + ...)> all{};
    auto* at = all.begin();
    ((at = std::ranges::copy(parts, at).out), ...);
    return all;
}

constexpr auto kFirstVmKeys = std::array{
    key<&VmConfig::name>({.name = "name",
                          .flag = "--name",
                          .value = "NAME",
                          .help = "Name of the machine, from which it gets MAC addresses that stay",
                          .most = kMaxName}),
    key<&VmConfig::payload>({.name = "payload", .object = &kPayload}),
    key<&VmConfig::cpus>({.name = "cpus", .flag = "--cpus,-c", .value = "N,...", .object = &kCpus}),
    key<&VmConfig::memory>(
        {.name = "memory", .flag = "--memory,-m", .value = "SIZE,...", .object = &kMemory}),
};
constexpr auto kRestOfVmKeys = std::array{
    key<&VmConfig::virtio_notify>(
        {.name = "virtio_notify",
         .flag = "--virtio-notify",
         .help = "Where drivers notify virtio devices: auto offers I/O ports first, which are "
                 "quicker, mmio memory alone, for drivers that do not take ports, such as the "
                 "Rust crate virtio-drivers",
         .choices = kVirtioNotifyNames}),
    key<&VmConfig::on_reset>({.name = "on_reset",
                              .flag = "--on-reset",
                              .help = "What to do when the guest asks for a reset",
                              .choices = kOnResetNames}),
    key<&VmConfig::on_crash>({.name = "on_crash",
                              .flag = "--on-crash",
                              .help = "What to do when the guest crashes (triple fault)",
                              .choices = kOnCrashNames}),
    key<&VmConfig::on_panic>(
        {.name = "on_panic",
         .flag = "--on-panic",
         .help = "What to do when the guest's kernel reports a panic through pvpanic",
         .choices = kOnPanicNames}),
    key<&VmConfig::stop_timeout>(
        {.name = "stop_timeout",
         .flag = "--stop-timeout",
         .value = "SECONDS",
         .help = "Seconds that devices have to finish when the machine resets or ends; if the "
                 "host has not answered one of them by then, vmm ends all the same",
         .least = 1,
         .most = kMaxStopTimeout}),
    key<&VmConfig::landlock_rules>({.name = "landlock_rules",
                                    .flag = "--landlock-rules",
                                    .value = "path=PATH,access=r|w|rw",
                                    .object = &kLandlockRule}),
    key<&VmConfig::debug_exit>(
        {.name = "debug_exit",
         .flag = "--debug-exit",
         .value = "PORT",
         .help = "For tests: I/O port (on aarch64: address) through which the guest can end the "
                 "process",
         .most = kMaxDebugExit}),
};
constexpr auto kVmKeys = joined(kFirstVmKeys, kDeviceKeys, kRestOfVmKeys);
constexpr auto kForeignVmKeys = std::array{
    ForeignKey{"balloon", Absent, {}, kNoDevice},
    ForeignKey{"fs", Empty, {}, "Shared directories are not supported yet."},
    ForeignKey{"pmem", Empty, {}, "Give the file as a disk: disks[].path."},
    ForeignKey{"generic_vhost_user", Empty, {}, kNoVhostUser},
    ForeignKey{"debug_console", Nested, "DebugConsoleConfig"},
    ForeignKey{"devices", Empty, {}, "Devices of the host (VFIO) are not supported yet."},
    ForeignKey{"user_devices", Empty, {}, kNoDevice},
    ForeignKey{"vdpa", Empty, {}, kNoDevice},
    ForeignKey{"vsock",
               Absent,
               {},
               "Give a port between host and guest instead: console_ports, with name and socket."},
    ForeignKey{"iommu", Off, {}, kNoIommu},
    ForeignKey{"watchdog", Off, {}, kNoDevice},
    ForeignKey{"rtc", Absent, {}, "The guest's clock is the host's: leave it out."},
    ForeignKey{"tpm", Absent, {}, kNoDevice},
    ForeignKey{"numa", Empty, {}, "There is one NUMA node: leave it out."},
    ForeignKey{"pci_segments", Empty, {}, kOneSegment},
    ForeignKey{"rate_limit_groups", Empty, {}, kNoLimits},
    ForeignKey{"sgx_epc", Empty, {}, kNoDevice},
    ForeignKey{"gdb", Off, {}, "A debugger cannot be attached yet."},
    ForeignKey{
        "landlock_enable", Off, {}, "Landlock is on by default (--sandbox on): leave it out."},
    ForeignKey{"preserved_fds", Empty, {}, "Leave it out."},
    ForeignKey{"platform", Nested, "PlatformConfig"},
};
constexpr auto kForeignPlatformKeys = std::array{
    ForeignKey{"num_pci_segments", Number, "1", kOneSegment},
    ForeignKey{"iommu_segments", Empty, {}, kNoIommu},
    ForeignKey{"iommu_address_width_bits", Number, "64", kNoIommu},
    ForeignKey{"serial_number", Absent, {}, kIdentity},
    ForeignKey{"uuid", Absent, {}, kIdentity},
    ForeignKey{"oem_strings", Empty, {}, kIdentity},
    ForeignKey{"system_serial_number", Absent, {}, kIdentity},
    ForeignKey{"system_uuid", Absent, {}, kIdentity},
    ForeignKey{"system_manufacturer", Absent, {}, kIdentity},
    ForeignKey{"system_product_name", Absent, {}, kIdentity},
    ForeignKey{"system_version", Absent, {}, kIdentity},
    ForeignKey{"system_family", Absent, {}, kIdentity},
    ForeignKey{"system_sku_number", Absent, {}, kIdentity},
    ForeignKey{"chassis_asset_tag", Absent, {}, kIdentity},
    ForeignKey{"tdx", Off, {}, kNoConfidential},
    ForeignKey{"sev_snp", Off, {}, kNoConfidential},
    ForeignKey{"iommufd", Off, {}, kNoDevice},
    ForeignKey{"vfio_p2p_dma", On, {}, kNoDevice},
};
constexpr auto kForeignBelowVm = std::array{ForeignObject{"PlatformConfig", kForeignPlatformKeys}};
constexpr Object kVm{.name = "VmConfig",
                     .help = "A virtual machine",
                     .keys = kVmKeys,
                     .defaults = defaults_of<VmConfig>,
                     .foreign = kForeignVmKeys,
                     .foreign_below = kForeignBelowVm};

// A choice's value is its place in the list of names.
static_assert(kOnResetNames[static_cast<std::size_t>(OnReset::Exit)] == "exit");
static_assert(kOnCrashNames[static_cast<std::size_t>(OnCrash::Reset)] == "reset");
static_assert(kOnPanicNames[static_cast<std::size_t>(OnPanic::Continue)] == "continue");
static_assert(kVirtioNotifyNames[static_cast<std::size_t>(VirtioNotify::Mmio)] == "mmio");
static_assert(kAutoNames[static_cast<std::size_t>(AutoSwitch::Off)] == "off");

}  // namespace

std::string_view help_of(const Key& key) {
    if (!key.help.empty())
        return key.help;
    return key.device != nullptr ? key.device->table.help : key.object->help;
}

const Object& vm_schema() {
    return kVm;
}

std::span<const Key> device_keys() {
    return std::span{kVmKeys}.subspan(kFirstVmKeys.size(), kDeviceKeys.size());
}

const Key* find_key(const Object& object, std::string_view name) {
    for (const Key& key : object.keys)
        if (key.name == name)
            return &key;
    return nullptr;
}

}  // namespace vmm::config
