// SPDX-License-Identifier: Apache-2.0
// A kernel as a file: what it is, checked, and kept open so that a reset can load it again.
//
// Taken: bzImage (boot protocol 2.10 or newer), 64-bit x86 ELF with or without a PVH note, and each
// of these compressed with gzip, zstd, xz or LZ4. For anything else the error names what was found.
// Every number in the file is checked here; what a KernelFile holds is consistent with the file's
// size at open() and with itself. Threads: one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "payload/boot_file.hpp"
#include "payload/elf.hpp"
#include "payload/unpack.hpp"
#include "vmm/error.hpp"
#include "x86_64/boot_params.hpp"

namespace vmm::x86_64 {

inline constexpr ElfTarget kElfTarget{
    .machine = 62,  // EM_X86_64
    .name = "x86-64",
    .advice =
        "Give an x86-64 kernel: a bzImage (Debian: /boot/vmlinuz-*), an ELF vmlinux, or one "
        "of these compressed"};

/// What the set-up header of a bzImage says.
struct BzImage {
    std::array<std::byte, boot_params::kHeaderEndMost - boot_params::kHeader> header{};
    std::size_t header_size = 0;   ///< bytes of `header` that the file has
    std::uint16_t protocol = 0;    ///< 0x020f is 2.15
    bool entry64 = false;          ///< may be entered in 64-bit mode, 0x200 after its start
    bool initrd_anywhere = false;  ///< by the 64-bit entry: also above initrd_address_max
    bool relocatable = false;
    std::uint64_t code_offset = 0;  ///< protected-mode code in the file
    std::uint64_t code_size = 0;
    std::uint64_t init_size = 0;          ///< memory it needs from its load address
    std::uint64_t preferred = 0;          ///< load address
    std::uint64_t alignment = 0;          ///< of another load address; a power of two
    std::uint32_t command_line_size = 0;  ///< longest command line, without the final zero
    std::uint32_t initrd_address_max = 0;
    std::uint64_t payload_offset = 0;  ///< in the file; the compressed ELF
    std::uint64_t payload_size = 0;    ///< 0: none that we can unpack
    std::uint64_t unpacked_size = 0;   ///< what the payload says of itself
    Compression compression = Compression::None;
    std::string version;  ///< "6.12.1-debian", may be empty
};

/// An ELF file, or one that was compressed as a whole.
struct ElfKernel {
    Compression compression = Compression::None;
    ElfImage image;
    KernelNotes notes;  ///< known only when it is not compressed
};

class KernelFile {
public:
    static Result<KernelFile> open(const std::string& path);

    /// The same for a file that is open already; for tests and fuzzing.
    static Result<KernelFile> identify(BootFile file);

    const BootFile& file() const noexcept { return file_; }
    const std::variant<BzImage, ElfKernel>& content() const noexcept { return content_; }

    /// "bzImage 6.12.1, boot protocol 2.15, zstd payload": one line for the log.
    std::string describe() const;

private:
    KernelFile(BootFile file, std::variant<BzImage, ElfKernel> content)
        : file_{std::move(file)}, content_{std::move(content)} {}

    BootFile file_;
    std::variant<BzImage, ElfKernel> content_;
};

}  // namespace vmm::x86_64
