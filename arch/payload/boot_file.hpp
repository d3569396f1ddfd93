// SPDX-License-Identifier: Apache-2.0
// A regular file that goes into guest memory: kernel or initramfs. Opened once, so that a reset of
// the machine reads the same file again. Threads: any.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "vmm/error.hpp"
#include "vmm/faults.hpp"
#include "vmm/gpa.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

/// Part of a file as memory, read only. Whoever shortens the file while it is mapped ends the
/// process (SIGBUS, see BackedMemory), so mappings live for one load and serve decoders only; what
/// is merely copied is read.
class FileMapping {
public:
    FileMapping() = default;
    FileMapping(void* base, std::size_t length, std::span<const std::byte> bytes)
        : base_{base}, length_{length}, bytes_{bytes} {}
    FileMapping(FileMapping&& other) noexcept
        : base_{std::exchange(other.base_, nullptr)},
          length_{other.length_},
          bytes_{other.bytes_},
          backed_{std::move(other.backed_)} {}
    FileMapping& operator=(FileMapping&& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(length_, other.length_);
        std::swap(bytes_, other.bytes_);
        std::swap(backed_, other.backed_);
        return *this;
    }
    ~FileMapping() {
        if (base_ != nullptr)
            ::munmap(base_, length_);
    }

    std::span<const std::byte> bytes() const { return bytes_; }

    /// `path` can be shortened by others.
    void name_backing(const std::string& path);

private:
    void* base_ = nullptr;
    std::size_t length_ = 0;
    std::span<const std::byte> bytes_;
    std::unique_ptr<BackedMemory> backed_;
};

class BootFile {
public:
    /// `what` names its role in errors: "kernel", "initramfs". Not found, empty, a directory, a
    /// pipe: ErrorKind::Config.
    static Result<BootFile> open(const std::string& path, std::string_view what);

    /// A file of ours (unpacked from another one). `size` is at least 1.
    BootFile(UniqueFd fd, std::uint64_t size, std::string path)
        : fd_{std::move(fd)}, size_{size}, path_{std::move(path)} {}

    int fd() const noexcept { return fd_.get(); }
    std::uint64_t size() const noexcept { return size_; }  ///< bytes, at open()
    const std::string& path() const noexcept { return path_; }

    /// All of `to`, from `offset` of the file; an error if the file ends before that.
    Result<> read(std::uint64_t offset, std::span<std::byte> to) const;

    /// The same straight into guest RAM, which must be there.
    Result<> read(std::uint64_t offset, std::uint64_t length, GuestMemory& memory, Gpa to) const;

    /// [offset, offset + length) must lie within size().
    Result<FileMapping> map(std::uint64_t offset, std::uint64_t length) const;

private:
    UniqueFd fd_;
    std::uint64_t size_;
    std::string path_;
};

}  // namespace vmm
