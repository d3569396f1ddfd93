// SPDX-License-Identifier: Apache-2.0
// Loads a kernel and its initramfs into guest RAM and says how the first vCPU starts.
//
// A bzImage can go two ways (PayloadUnpack). Unpacked: the host decompresses the ELF inside it to
// its final place with the real libraries, without the copies and page faults that the kernel's own
// decompressor costs; it is entered at the ELF's entry, 64-bit boot protocol, and moved to a random
// virtual address (KASLR) if LoadRequest::kaslr asks for it and the command line does not say
// nokaslr; the physical place is not randomised. Plain: the whole image is loaded and unpacks
// itself, with its own KASLR.
// An ELF with a PVH note is entered by PVH (32-bit), one without by the 64-bit Linux boot protocol.
//
// RAM must be zero when load() starts, which the machine sees to at each start and each reset: what
// is zero is not written here. No vCPU may run. load() may be called again after a reset, with the
// same KernelFile. Threads: one at a time.
// The initramfs goes below the address that old kernels can reach and, when there is no room for
// it, as far up as the protocol can say. Left out: zImage, boot protocols before 2.10.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "payload/boot_file.hpp"
#include "payload/placement.hpp"
#include "vmm/entropy_source.hpp"
#include "vmm/error.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/hv_x86.hpp"
#include "x86_64/kernel_file.hpp"

namespace vmm::x86_64 {

enum class PayloadUnpack : std::uint8_t {
    Auto,  ///< unpack; plain, with a warning in the log, when that does not work
    On,    ///< an error when it does not work
    Off,
};

struct LoadRequest {
    std::uint64_t ram_size = 0;  ///< bytes, laid out as ram_ranges() says
    /// Concatenated, each padded to four bytes; compressed or not, as they are.
    std::span<const BootFile> initramfs;
    std::string_view command_line;
    PayloadUnpack unpack = PayloadUnpack::Auto;
    /// Where the ACPI tables' entry will be (kRsdp); none: the guest is told of no ACPI.
    std::optional<Gpa> rsdp;
    /// Ranges of RAM that must stay free, beside ours (boot data, ACPI tables).
    std::span<const NamedRange> reserved;
    /// Move an unpacked kernel to a random virtual address; needs `entropy`. Costs some 40 M
    /// instructions for a Debian kernel, mostly to unpack the list of places to change.
    bool kaslr = false;
    /// Chance for KASLR and for the seed that Linux's boot protocol can hand over; none: the kernel
    /// finds chance by itself.
    EntropySource* entropy = nullptr;
};

/// How the first vCPU starts; the others wait for INIT and SIPI.
struct Entry {
    hv::x86::Registers registers;
    hv::x86::SystemRegisters system;
    std::string command_line;  ///< what the kernel got
    std::string how;           ///< one line for the log
};

/// Errors are ErrorKind::Config where the files or the request are to blame.
Result<Entry> load(const KernelFile& kernel, const LoadRequest& request, GuestMemory& memory);

}  // namespace vmm::x86_64
