// SPDX-License-Identifier: Apache-2.0
// What a virtual machine is to be: plain values with every default filled in, as a user asked for
// them.
//
// One structure per object of the JSON file, members named as its keys; where Cloud Hypervisor's
// VmConfig has a feature, the name is Cloud Hypervisor's. The tables in config/schema.cpp and
// config/kinds describe them for the command line, JSON, the help and the reference page.
// Units: sizes in bytes. An empty text or list means "not given"; so does an empty optional.
// Threads: values; copy them. Not here: reading (config/load.hpp), checking (config/validate.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmm {

enum class OnReset : std::uint8_t { Reset, Exit };
enum class OnCrash : std::uint8_t { Exit, Reset };
enum class OnPanic : std::uint8_t { Exit, Reset, Pause, Continue };

/// Where the other end of a character device is.
enum class ConsoleMode : std::uint8_t { Off, Null, Tty, Pty, File, Socket };

enum class VirtioNotify : std::uint8_t { Auto, Mmio };
enum class AutoSwitch : std::uint8_t { Auto, On, Off };

struct CpuTopology {
    std::uint32_t threads_per_core = 1;
    std::uint32_t cores_per_die = 1;
    std::uint32_t dies_per_package = 1;
    std::uint32_t packages = 1;

    bool operator==(const CpuTopology&) const = default;
};

/// Where one vCPU's thread may run.
struct CpuAffinity {
    std::optional<std::uint32_t> vcpu;     ///< must be given
    std::vector<std::uint32_t> host_cpus;  ///< must be given; by number

    bool operator==(const CpuAffinity&) const = default;
};

struct CpusConfig {
    std::uint32_t boot_vcpus = 1;
    std::optional<std::uint32_t> max_vcpus;  ///< absent: boot_vcpus
    std::optional<CpuTopology> topology;     ///< absent: one package with a core per vCPU
    std::vector<CpuAffinity> affinity;       ///< a vCPU that it does not name runs anywhere

    std::uint32_t max() const { return max_vcpus.value_or(boot_vcpus); }
    bool operator==(const CpusConfig&) const = default;
};

struct MemoryConfig {
    std::uint64_t size = 512ULL << 20;
    std::optional<bool> shared;  ///< others can map it; absent: only if it is a file
    bool hugepages = false;      ///< hugetlbfs pages
    std::optional<std::uint64_t> hugepage_size;  ///< absent: the host's default
    bool prefault = false;                       ///< every page is backed before the guest starts
    bool thp = true;                             ///< transparent huge pages
    std::string file;                            ///< RAM is this file, which is shared

    bool is_shared() const { return shared.value_or(!file.empty()); }

    bool operator==(const MemoryConfig&) const = default;
};

struct PayloadConfig {
    std::string kernel;
    std::vector<std::string> initramfs;  ///< concatenated in this order
    std::string cmdline;
    std::string firmware;
    AutoSwitch unpack = AutoSwitch::Auto;  ///< unpack a bzImage on the host and enter it as ELF
    bool kaslr = false;                    ///< move a kernel that was unpacked here
    bool auto_cmdline = true;              ///< add console= and the like when cmdline has none

    bool operator==(const PayloadConfig&) const = default;
};

/// The first serial port.
struct SerialConfig {
    ConsoleMode mode = ConsoleMode::Tty;
    std::string file;    ///< with mode File
    std::string socket;  ///< with mode Socket: path of the Unix socket to listen on
    std::string link;    ///< with mode Pty: symbolic link to the terminal

    bool operator==(const SerialConfig&) const = default;
};

/// virtio-console, hvc0 in the guest.
struct ConsoleConfig {
    ConsoleMode mode = ConsoleMode::Off;
    std::string file;
    std::string socket;
    std::string link;
    bool packed = true;
    std::optional<std::uint8_t> pci_device_id;  ///< the PCI slot; absent: a free one

    bool operator==(const ConsoleConfig&) const = default;
};

/// A port of virtio-console that is not a terminal: /dev/virtio-ports/NAME in the guest.
struct ConsolePortConfig {
    ConsoleMode mode = ConsoleMode::Off;  ///< must be given
    std::string name;                     ///< must be given
    std::string file;
    std::string socket;
    std::string link;

    bool operator==(const ConsolePortConfig&) const = default;
};

enum class ImageType : std::uint8_t { Raw };

struct DiskConfig {
    std::string path;
    ImageType image_type = ImageType::Raw;  ///< for configurations that say it
    bool readonly = false;
    bool direct = false;  ///< O_DIRECT
    /// Bytes, as the guest sees them. Not given: the host device's, or 512 for a file.
    std::optional<std::uint32_t> block_size;
    std::optional<std::uint32_t> physical_block_size;
    std::uint32_t num_queues = 1;
    std::uint32_t queue_size = 128;
    bool packed = true;  ///< offer the packed ring
    std::string serial;  ///< what the guest reads as the disk's serial number, at most 20 bytes
    std::string id;
    std::optional<std::uint8_t> pci_device_id;  ///< the PCI slot; absent: a free one

    bool operator==(const DiskConfig&) const = default;
};

enum class NetBackendKind : std::uint8_t {
    Tap,
    User,  ///< passt, as a process of its own
};

struct NetConfig {
    NetBackendKind backend = NetBackendKind::Tap;
    std::string tap;                   ///< interface name; empty: the kernel picks one
    std::vector<std::uint32_t> fds;    ///< tap queues that whoever started us has opened
    std::vector<std::string> publish;  ///< with User: HOST:GUEST ports
    std::string mac;                   ///< empty: made from the machine's name
    std::optional<std::uint16_t> mtu;
    std::uint32_t num_queues = 2;  ///< receive and transmit queues counted alone
    std::uint32_t queue_size = 256;
    bool packed = true;
    std::string id;
    std::optional<std::uint8_t> pci_device_id;  ///< the PCI slot; absent: a free one

    bool operator==(const NetConfig&) const = default;
};

struct RngConfig {
    std::string src;  ///< empty: getrandom(2)
    bool packed = true;
    std::optional<std::uint8_t> pci_device_id;  ///< the PCI slot; absent: a free one

    bool operator==(const RngConfig&) const = default;
};

enum class LandlockAccess : std::uint8_t { Read, Write, ReadWrite };

/// A path that the sandbox leaves to a running machine.
struct LandlockRule {
    std::string path;                      ///< must be given
    std::optional<LandlockAccess> access;  ///< must be given

    bool operator==(const LandlockRule&) const = default;
};

struct VmConfig {
    std::string name;  ///< of the machine; empty: it has none
    PayloadConfig payload;
    CpusConfig cpus;
    MemoryConfig memory;
    SerialConfig serial;
    ConsoleConfig console;
    std::vector<ConsolePortConfig> console_ports;
    std::vector<DiskConfig> disks;
    std::vector<NetConfig> net;
    std::optional<RngConfig> rng;
    bool pvpanic = false;
    VirtioNotify virtio_notify = VirtioNotify::Auto;  ///< Auto: I/O ports first, memory second
    OnReset on_reset = OnReset::Reset;
    OnCrash on_crash = OnCrash::Exit;
    OnPanic on_panic = OnPanic::Exit;
    std::uint32_t stop_timeout = 5;  ///< seconds for devices to finish at reset and end
    std::vector<LandlockRule> landlock_rules;
    std::optional<std::uint32_t> debug_exit;  ///< I/O port for tests; absent: none

    bool operator==(const VmConfig&) const = default;
};

}  // namespace vmm
