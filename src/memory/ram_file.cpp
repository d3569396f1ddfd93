// SPDX-License-Identifier: Apache-2.0
#include "memory/ram_file.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "memory/host_memory.hpp"
#include "vmm/file_lock.hpp"
#include "vmm/log.hpp"
#include "vmm/size_text.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm {
namespace {

constexpr std::string_view kAnotherFile = "Name another file with --memory file=PATH.";

Error wrong(const std::string& path, std::string_view what, std::string hint) {
    return Error{ErrorKind::Config, cat("memory: ", path, " ", what)}.hint(std::move(hint));
}

Error open_failed(const std::string& path, int why) {
    auto made = Error::os("open", why)
                    .context(cat("memory: open ", path, " as the guest's RAM"))
                    .as(ErrorKind::Config);
    switch (why) {
        case ENOENT:
            return std::move(made).hint(
                "Make the directory first: the file itself is made if it is not there.");
        case ENOTDIR:
            return std::move(made).hint("Check the path: a component of it is not a directory.");
        case ELOOP:
            return std::move(made).hint("Check the path: symbolic links in it form a loop.");
        case EACCES:
        case EPERM:
        case EROFS:
            return std::move(made).hint(
                "Give the user who runs vmm write access, or name a file elsewhere.");
        default:
            return std::move(made).hint(std::string{kAnotherFile});
    }
}

std::string_view kind_of(mode_t mode) {
    if (S_ISDIR(mode))
        return "is a directory, RAM is one file";
    if (S_ISBLK(mode))
        return "is a block device, RAM is a regular file";
    if (S_ISCHR(mode))
        return "is a character device, RAM is a regular file";
    return "is a pipe or a socket, RAM is a regular file";
}

Result<> check_kind(const std::string& path, const struct stat& status) {
    if (S_ISREG(status.st_mode))
        return {};
    return std::unexpected(wrong(
        path, kind_of(status.st_mode),
        S_ISDIR(status.st_mode)
            ? cat("Name a file in it, such as ", path, path.ends_with('/') ? "" : "/", "guest-ram.")
            : std::string{kAnotherFile}));
}

int allocate(int fd, int mode, std::uint64_t size) noexcept {
    int failed = 0;
    do
        failed = ::fallocate(fd, mode, 0, static_cast<off_t>(size)) == 0 ? 0 : errno;
    while (failed == EINTR);
    return failed;
}

bool is_unsupported(int why) {
    return why == EOPNOTSUPP || why == ENOSYS;
}

}  // namespace

bool punch(int fd, std::uint64_t size) noexcept {
    return allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, size) == 0;
}

Result<RamFile> RamFile::open(const std::string& path, std::uint64_t size) {
    RamFile file{path, size};
    VMM_TRY(file.open_and_lock());
    struct stat status {};
    if (::fstat(file.fd(), &status) != 0)
        return std::unexpected(Error::os("fstat", errno).context(cat("memory: ", path)));
    VMM_TRY(file.check_length(status));
    VMM_TRY(file.find_out_file_system());
    VMM_TRY(file.check_room(status));
    VMM_TRY(file.make_long());
    return file;
}

RamFile::~RamFile() {
    // One that was made goes by created_, unless it was made behind a link.
    if (lock_ && !kept_ && state_ != State::Old) [[maybe_unused]]
        const int nothing_to_be_done = ::ftruncate(fd_.get(), 0);
}

/// Another machine that does not get to start removes the file that it has made: then the one that
/// we have opened is not the one at the path any more.
Result<> RamFile::open_and_lock() {
    constexpr int kTries = 8;
    for (int i = 0; i < kTries; ++i) {
        VMM_TRY(open_once());
        struct stat status {};
        if (::fstat(fd_.get(), &status) == 0 && status.st_nlink != 0)
            break;
    }
    return {};
}

Result<> RamFile::open_once() {
    struct stat status {};
    // First, because opening a device or a pipe can do things.
    if (::stat(path_.c_str(), &status) == 0)
        VMM_TRY(check_kind(path_, status));
    state_ = State::Old;
    created_.reset();
    lock_ = UniqueFd{};
    fd_ = UniqueFd{::open(path_.c_str(), O_RDWR | O_CLOEXEC)};
    std::optional<SignalsBlocked> together;  // the file and whoever removes it
    if (!fd_ && errno == ENOENT) {
        together.emplace();
        state_ = State::Created;
        fd_ = UniqueFd{::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    }
    if (!fd_)
        return std::unexpected(open_failed(path_, errno));
    auto locked = lock_file(fd_, FileLock::Exclusive);
    if (!locked && locked.error().os_error() == EAGAIN)
        return std::unexpected(
            wrong(path_, "is in use: another machine, or another program, holds a lock on it",
                  "Give each machine a file of its own, or stop the other one."));
    if (!locked)
        log::warn("memory: ", path_, " cannot be locked (", locked.error().one_line(),
                  "): nothing keeps another machine from using it");
    lock_ = locked ? *std::move(locked) : UniqueFd{::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)};
    if (state_ == State::Created)
        created_ = std::make_unique<OwnFile>(path_, fd_.get());
    return {};
}

Result<> RamFile::check_length(const struct stat& status) {
    VMM_TRY(check_kind(path_, status));
    const auto length = static_cast<std::uint64_t>(status.st_size);
    if (length >= size_)
        return {};
    if (length != 0)
        return std::unexpected(
            wrong(path_, cat("has ", length, " bytes, the guest is to have ", size_text(size_)),
                  cat("Make it larger with `truncate -s ", size_, " ", path_,
                      "`, or name a file that does not exist yet.")));
    if (state_ == State::Old)
        state_ = State::Grown;
    return {};
}

Result<> RamFile::find_out_file_system() {
    struct statfs system {};
    if (::fstatfs(fd_.get(), &system) != 0)
        return {};
    const auto magic = static_cast<unsigned long>(system.f_type);
    in_memory_ = magic == TMPFS_MAGIC || magic == RAMFS_MAGIC;
    if (magic == HUGETLBFS_MAGIC) {
        huge_page_size_ = static_cast<std::uint64_t>(system.f_bsize);
        return check_whole_huge_pages(size_, huge_page_size_,
                                      cat("the file system that ", path_, " is on"));
    }
    return in_memory_ ? check_host_memory(size_) : Result<>{};
}

Error RamFile::no_room(Error error) const {
    return std::move(error).hint(
        in_memory_ ? "Mount the tmpfs with a larger size=, or give the guest less with --memory "
                     "SIZE."
                   : "Make room on that file system, name a file elsewhere, or give the guest less "
                     "with --memory SIZE.");
}

/// Before anything is taken, so that other users of the file system do not see it full for a
/// moment.
Result<> RamFile::check_room(const struct stat& status) const {
    struct statfs system {};
    // No blocks: no limit, or one that is not told.
    if (huge_page_size_ != 0 || ::fstatfs(fd_.get(), &system) != 0 || system.f_blocks == 0)
        return {};
    const auto has = static_cast<std::uint64_t>(status.st_blocks) * 512;
    const auto missing = size_ - std::min(size_, has);
    const auto free = std::uint64_t{system.f_bfree} * static_cast<std::uint64_t>(system.f_bsize);
    if (missing <= free)
        return {};
    return std::unexpected(
        no_room(Error{ErrorKind::Os, cat("memory: reserve ", size_text(missing), " for ", path_,
                                         ": its file system has ", size_text(free), " free")}));
}

/// Not of hugetlbfs: there, mapping the file reserves its pages, and costs nothing.
Result<> RamFile::make_long() {
    if (is_new() && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) {
        auto made =
            Error::os("ftruncate", errno)
                .context(cat("memory: make ", path_, " as large as RAM, ", size_text(size_)));
        if (made.os_error() == EFBIG)
            return std::unexpected(std::move(made).hint(
                "Raise the limit on the size of files (`ulimit -f unlimited`), or name a file on a "
                "file system that takes larger ones."));
        return std::unexpected(no_room(std::move(made)));
    }
    return huge_page_size_ != 0 ? Result<>{} : reserve();
}

Result<> RamFile::reserve() const {
    const int failed = allocate(fd_.get(), 0, size_);
    if (failed == 0)
        return {};
    if (is_unsupported(failed)) {
        log::warn("memory: the file system of ", path_,
                  " cannot reserve space: the machine ends when it gets full");
        return {};
    }
    auto made = Error::os("fallocate", failed)
                    .context(cat("memory: reserve ", size_text(size_), " for ", path_));
    if (failed == EDQUOT)
        return std::unexpected(std::move(made).hint(
            "Raise the disk quota, name a file elsewhere, or give the guest less with --memory "
            "SIZE."));
    if (failed == ENOSPC)
        return std::unexpected(no_room(std::move(made)));
    return std::unexpected(std::move(made).hint(std::string{kAnotherFile}));
}

Result<bool> RamFile::clear() {
    // The first way keeps the space. tmpfs and hugetlbfs have the second one only.
    if (allocate(fd_.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, size_) == 0)
        return true;
    if (!punch(fd_.get(), size_))
        return false;
    if (huge_page_size_ == 0)
        VMM_TRY(reserve());
    return true;
}

}  // namespace vmm
