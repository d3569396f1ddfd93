// SPDX-License-Identifier: Apache-2.0
#include "payload/boot_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "vmm/assert.hpp"
#include "vmm/host_page.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

Error unusable(std::string_view what, const std::string& path, std::string_view why) {
    return Error{ErrorKind::Config, cat(what, " ", path, " ", why)};
}

std::string_view kind_of(mode_t mode) {
    if (S_ISDIR(mode))
        return "is a directory; a file is needed";
    if (S_ISFIFO(mode))
        return "is a pipe; a regular file is needed, because a reset of the guest reads it again";
    if (S_ISSOCK(mode))
        return "is a socket; a regular file is needed";
    return "is a device; a regular file is needed";
}

Error ends_early(const std::string& path, std::uint64_t at) {
    return Error{ErrorKind::Config,
                 cat(path, " ends at byte ", at, ": truncated, or changed since it was opened")};
}

}  // namespace

Result<BootFile> BootFile::open(const std::string& path, std::string_view what) {
    // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (!fd)
        return std::unexpected(
            Error::os("open", errno).context(cat(what, " ", path)).as(ErrorKind::Config));
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0)
        return std::unexpected(Error::os("fstat", errno).context(cat(what, " ", path)));
    if (!S_ISREG(status.st_mode))
        return std::unexpected(unusable(what, path, kind_of(status.st_mode)));
    if (status.st_size <= 0)
        return std::unexpected(unusable(what, path, "is empty"));
    return BootFile{std::move(fd), static_cast<std::uint64_t>(status.st_size), path};
}

Result<> BootFile::read(std::uint64_t offset, std::span<std::byte> to) const {
    while (!to.empty()) {
        const ssize_t got = ::pread(fd(), to.data(), to.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return std::unexpected(Error::os("pread", errno).context(cat("read ", path_)));
        if (got == 0)
            return std::unexpected(ends_early(path_, offset));
        offset += static_cast<std::uint64_t>(got);
        to = to.subspan(static_cast<std::size_t>(got));
    }
    return {};
}

Result<> BootFile::read(std::uint64_t offset, std::uint64_t length, GuestMemory& memory,
                        Gpa to) const {
    std::array<iovec, 8> parts{};
    const auto count = memory.host_iovecs(to, length, Transfer::ToGuest, parts);
    if (!count)
        return std::unexpected(Error{
            ErrorKind::Config, cat("read ", path_, ": no memory for ", length, " bytes at ", to)});
    for (const iovec& part : std::span{parts}.first(*count)) {
        VMM_TRY(read(offset, std::span{static_cast<std::byte*>(part.iov_base), part.iov_len}));
        offset += part.iov_len;
    }
    return {};
}

void FileMapping::name_backing(const std::string& path) {
    backed_ = std::make_unique<BackedMemory>(
        std::span{static_cast<const std::byte*>(base_), length_}, cat("the file ", path),
        cat(path, " became shorter while it was read: start vmm again when it is complete."));
}

Result<FileMapping> BootFile::map(std::uint64_t offset, std::uint64_t length) const {
    VMM_ASSERT(offset <= size_ && length <= size_ - offset);
    // Most often a file that was written again between a start and a reset. Whoever shortens it
    // from here on ends the process by SIGBUS.
    struct stat status {};
    if (::fstat(fd(), &status) != 0)
        return std::unexpected(Error::os("fstat", errno).context(cat("map ", path_)));
    const auto now = static_cast<std::uint64_t>(status.st_size);
    if (now < offset + length)
        return std::unexpected(ends_early(path_, now));
    const std::uint64_t first = offset / host_page() * host_page();
    const std::size_t mapped = offset - first + length;
    // Populated: one pass over the page tables instead of a fault for every sixteen pages.
    void* const base = ::mmap(nullptr, mapped, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd(),
                              static_cast<off_t>(first));
    if (base == MAP_FAILED)
        return std::unexpected(Error::os("mmap", errno).context(cat("map ", path_)));
    const auto* const bytes = static_cast<const std::byte*>(base) + (offset - first);
    FileMapping mapping{base, mapped, {bytes, length}};
    mapping.name_backing(path_);
    return mapping;
}

}  // namespace vmm
