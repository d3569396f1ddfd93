// SPDX-License-Identifier: Apache-2.0
// A kernel as a file: what it is, checked, and kept open so that a reset can load it again.
//
// Taken: the arm64 Linux Image, plain, compressed with gzip, zstd, xz or LZ4, or in an EFI zboot
// image; a 64-bit ELF file with physical addresses (bare-metal programs), plain or compressed. For
// anything else the error names what was found. Every number in the file is checked here; what a
// KernelFile holds is consistent with the file's size at open(). Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "aarch64/image.hpp"
#include "payload/boot_file.hpp"
#include "payload/elf.hpp"
#include "payload/unpack.hpp"
#include "vmm/error.hpp"

namespace vmm::aarch64 {

/// What of the file the kernel is.
struct Part {
    std::uint64_t offset = 0;  ///< bytes
    std::uint64_t size = 0;    ///< bytes
    Compression compression = Compression::None;
};

/// What was found in a file.
struct Kernel {
    Part part;
    std::optional<ImageHeader> image;  ///< none: it is an ELF file
    ElfImage elf;

    /// Unsaid: of a kernel that does not say.
    PageSize page_size() const { return image ? image->page_size() : PageSize::Unsaid; }
};

class KernelFile {
public:
    static Result<KernelFile> open(const std::string& path);

    /// The same for a file that is open already; for tests and fuzzing.
    static Result<KernelFile> identify(BootFile file);

    const BootFile& file() const noexcept { return file_; }
    const Kernel& kernel() const noexcept { return kernel_; }

    /// "arm64 Image in a zboot image, compressed with gzip, pages of 4 KiB": for the log.
    std::string describe() const;

private:
    KernelFile(BootFile file, Kernel kernel) : file_{std::move(file)}, kernel_{std::move(kernel)} {}

    BootFile file_;
    Kernel kernel_;
};

}  // namespace vmm::aarch64
