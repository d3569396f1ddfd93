// SPDX-License-Identifier: Apache-2.0
#include "config/validate.hpp"

#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>
#include <vector>

#include "config/board.hpp"
#include "config/features.hpp"
#include "config/flags.hpp"
#include "config/kinds/channel.hpp"
#include "config/kinds/kinds.hpp"
#include "config/kinds/rules.hpp"
#include "config/limits.hpp"
#include "config/schema.hpp"
#include "config/suggest.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {
// ---------------------------------------------------------------- what the tables know

std::string flag_of(const Key& key) {
    for (const Flag& flag : all_flags())
        if (flag.key == &key)
            return cat(" (", flag.name(), ")");
    return {};
}

bool has_default(const Key& key, const void* object, const void* defaults) {
    if (key.type == Type::ObjectList || (key.type == Type::Object && key.access.optional))
        return key.access.count(object) == 0;
    if (key.type != Type::Object)
        return key.access.get(object) == key.access.get(defaults);
    return std::ranges::all_of(key.object->keys, [&](const Key& below) {
        return has_default(below, key.access.at(object, 0), key.access.at(defaults, 0));
    });
}

/// Limits of every value, since a caller may have filled the structures by hand; and features
/// that are described but not there yet.
Result<> check_object(const Object& schema, const void* object, const std::string& parent) {
    for (const Key& key : schema.keys) {
        const auto path = [&] {  // most keys need none
            return parent.empty() ? std::string{key.name} : cat(parent, ".", key.name);
        };
        if (!is_supported(parent, key.name) && !has_default(key, object, schema.defaults()))
            return bad(cat(path(), flag_of(key), " is not supported yet"),
                       "Leave it out; this version of vmm cannot build it.");
        const auto value = key.object == nullptr ? key.access.get(object) : std::optional<Value>{};
        if (value)
            VMM_TRY_OR(check_limits(key, *value), path());
        const auto below = key.object == nullptr ? 0 : key.access.count(object);
        for (std::size_t i = 0; i < below; ++i)
            VMM_TRY(check_object(*key.object, key.access.at(object, i), path()));
    }
    return {};
}

// ---------------------------------------------------------------- what joins several keys

Result<> check_payload(const PayloadConfig& payload) {
    if (payload.kernel.empty() && payload.firmware.empty())
        return bad("nothing to boot: neither a kernel nor a firmware is given",
                   "Name a kernel with --kernel FILE, or with payload.kernel in the file of "
                   "--config.");
    if (!payload.kernel.empty() && !payload.firmware.empty())
        return bad("both a kernel and a firmware are given", "Give only one of the two.");
    if (payload.kernel.empty() && !(payload.initramfs.empty() && payload.cmdline.empty()))
        return bad("an initramfs or a command line, but no kernel for it",
                   "Add --kernel FILE, or leave them out: a firmware takes neither.");
    for (const auto& archive : payload.initramfs)
        if (archive.empty())
            return bad("payload.initramfs (--initramfs): the file name is empty",
                       "Name a file, or leave it out.");
    return {};
}

Result<> check_affinity(const CpusConfig& cpus) {
    std::vector<bool> named(cpus.max());
    for (std::size_t i = 0; i < cpus.affinity.size(); ++i) {
        const auto& [vcpu, host_cpus] = cpus.affinity[i];
        const auto path = cat("cpus.affinity[", i, "]");
        if (!vcpu)
            return bad(cat(path, " does not say which vCPU it is for"),
                       "Add the vCPU's number (vcpu); the first is 0.");
        if (*vcpu >= cpus.max())
            return bad(cat(path, ": there is no vCPU ", *vcpu),
                       cat("Give a number from 0 to ", cpus.max() - 1,
                           ", or the guest more vCPUs (--num-cpu)."));
        if (named[*vcpu])
            return bad(cat(path, ": vCPU ", *vcpu, " has an entry already"),
                       cat("List all of its host CPUs in one entry, such as ", *vcpu, "@[2,3]."));
        if (host_cpus.empty())
            return bad(cat(path, ": no host CPU is named for vCPU ", *vcpu),
                       cat("Name at least one, such as ", *vcpu, "@[2], or leave the entry out."));
        named[*vcpu] = true;
    }
    return {};
}

Result<> check_cpus(const CpusConfig& cpus) {
    if (cpus.max() < cpus.boot_vcpus)
        return bad(cat("cpus.max_vcpus is ", cpus.max(), ", less than the ", cpus.boot_vcpus,
                       " of cpus.boot_vcpus"),
                   "Raise max (--cpus boot=N,max=N), or leave it out.");
    if (!kCpuHotplug && cpus.max() > cpus.boot_vcpus)
        return bad("cpus.max_vcpus above cpus.boot_vcpus (adding vCPUs later) is not supported yet",
                   "Leave max out, or make it equal to boot.");
    VMM_TRY(check_affinity(cpus));
    if (!cpus.topology)
        return {};
    const auto& topology = *cpus.topology;
    std::uint64_t product = topology.threads_per_core;
    for (const std::uint64_t factor :
         {topology.cores_per_die, topology.dies_per_package, topology.packages})
        product = std::min<std::uint64_t>(product * factor, UINT32_MAX);
    if (product != cpus.max())
        return bad(cat("cpus.topology ", topology.threads_per_core, ":", topology.cores_per_die,
                       ":", topology.dies_per_package, ":", topology.packages, " makes ", product,
                       " vCPUs, but there are ", cpus.max()),
                   "Make the product of the four numbers equal to the number of vCPUs.");
    return {};
}

Result<> check_memory(const MemoryConfig& memory) {
    constexpr std::uint64_t kPage = 4096;
    if (memory.size % kPage != 0)
        return bad(cat("memory.size is ", memory.size, " bytes, not a multiple of 4 KiB"),
                   cat("Give ", size_text(memory.size / kPage * kPage), " or another multiple."));
    if (memory.hugepage_size && !memory.hugepages)
        return bad("memory.hugepage_size without memory.hugepages",
                   "Add hugepages=on, or leave hugepage_size out.");
    if (memory.hugepage_size && !std::has_single_bit(*memory.hugepage_size))
        return bad(cat("memory.hugepage_size ", size_text(*memory.hugepage_size),
                       " is not a power of two"),
                   "Give a size that the host has, such as 2M or 1G.");
    if (memory.hugepage_size && memory.size % *memory.hugepage_size != 0)
        return bad(cat("memory.size ", size_text(memory.size),
                       " is not a multiple of the huge "
                       "page size ",
                       size_text(*memory.hugepage_size)),
                   "Give a multiple of it.");
    if (memory.hugepages && !memory.file.empty())
        return bad("memory.file and memory.hugepages exclude each other",
                   "Put the file on a hugetlbfs and leave hugepages out, or leave the file out.");
    if (!memory.file.empty() && !memory.is_shared())
        return bad("memory.shared is off and memory.file is given, but RAM from a file is shared",
                   "Leave shared out, or leave the file out.");
    return {};
}

Result<> check_landlock_rules(const VmConfig& config) {
    for (std::size_t i = 0; i < config.landlock_rules.size(); ++i) {
        const auto& [path, access] = config.landlock_rules[i];
        if (path.empty())
            return bad(cat("landlock_rules[", i, "] (--landlock-rules) names no path"),
                       "Add path=PATH.");
        if (!access)
            return bad(cat("landlock_rules[", i,
                           "] (--landlock-rules) does not say what is "
                           "allowed at ",
                           path),
                       "Add access=r to read, access=w to write, or access=rw.");
    }
    return {};
}

// ---------------------------------------------------------------- what all devices share

std::size_t pci_devices(const VmConfig& config) {
    std::size_t number = 0;
    for (const Key& key : device_keys())
        if (key.device->pci_devices != nullptr)
            number += key.device->pci_devices(config);
    return number;
}

Result<> check_number_of_devices(const VmConfig& config) {
    const auto number = pci_devices(config);
    if (number > kMaxPciDevices)
        return bad(cat("there are ", number, " devices, more than the ", kMaxPciDevices,
                       " that PCI has room for"),
                   "Leave out some of --disk and --net. All --console-port together count as one.");
    return {};
}

bool is_there(const InUse& range, const VmConfig& config) {
    switch (range.when) {
        case InUse::When::WithSerial:
            return config.serial.mode != ConsoleMode::Off;
        case InUse::When::WithPci:
            return pci_devices(config) != 0;
        case InUse::When::Always:
            break;
    }
    return true;
}

Result<> check_debug_exit(const VmConfig& config) {
    if (!config.debug_exit)
        return {};
    const auto first = *config.debug_exit;
    const Board& board = config::board();
    if (first > board.last_exit)
        return bad(cat("debug_exit (--debug-exit): ", first, " is too large"),
                   cat("The most is ", board.last_exit, "."));
    for (const InUse& range : board.in_use)
        if (is_there(range, config) && first < range.first + range.count &&
            range.first < first + kDebugExitSize)
            return bad(
                cat("debug_exit (--debug-exit): the ", board.exit_space, " ", Hex{first}, " to ",
                    Hex{first + kDebugExitSize - 1}, " overlap those of ", range.whose, ", ",
                    Hex{range.first}, " to ", Hex{range.first + range.count - 1}),
                cat("Choose ", board.exit_space, " that nothing uses, such as ", board.free_exit,
                    "."));
    return {};
}

}  // namespace

Result<> validate(const VmConfig& config) {
    VMM_TRY(check_payload(config.payload));
    VMM_TRY(check_object(vm_schema(), &config, ""));
    VMM_TRY(check_cpus(config.cpus));
    VMM_TRY(check_memory(config.memory));
    VMM_TRY(check_channels(config));
    VMM_TRY(check_number_of_devices(config));
    VMM_TRY(check_debug_exit(config));
    VMM_TRY(check_landlock_rules(config));
    return validate_devices(config);
}

std::vector<std::string> warnings(const VmConfig& config) {
    std::vector<std::string> all;
    if (config.on_panic != OnPanic::Exit && !config.pvpanic)
        all.emplace_back(
            "on_panic (--on-panic) does nothing without pvpanic (--pvpanic), the device through "
            "which a guest reports its panic");
    return all;
}

}  // namespace vmm::config
