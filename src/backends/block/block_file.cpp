// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_file.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

#include "backends/block/block_file_queue.hpp"
#include "backends/block/block_geometry.hpp"
#include "vmm/file_lock.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

constexpr std::uint32_t kSmallestUnit = 512;
constexpr std::uint32_t kHostPage = 4096;

Error about(const std::string& path, Error error) {
    return std::move(error).context(cat("disk ", path));
}

Error wrong(const std::string& path, std::string_view what, std::string hint) {
    return Error{ErrorKind::Config, cat("disk ", path, ": ", what)}.hint(std::move(hint));
}

Error open_failed(const BlockFileOptions& options, int error) {
    auto made = about(options.path, Error::os("open", error)).as(ErrorKind::Config);
    switch (error) {
        case ENOENT:
            return std::move(made).hint("Check the path, or make the file: truncate -s 10G FILE.");
        case EACCES:
        case EPERM:
        case EROFS:
            if (!options.readonly && ::access(options.path.c_str(), R_OK) == 0)
                return std::move(made).hint("Add readonly=on, or make the file writable.");
            return std::move(made).hint("Give the user who runs vmm access to the file.");
        case EBUSY:
            return std::move(made).hint(
                "Something else has claimed the device: unmount it, stop what uses it, or add "
                "readonly=on.");
        case ENOTDIR:
            return std::move(made).hint("Check the path: a component of it is not a directory.");
        case ELOOP:
            return std::move(made).hint("Check the path: symbolic links in it form a loop.");
        case EINVAL:
            return std::move(made).hint(
                "The file system may not support O_DIRECT: leave out direct=on.");
        default:
            return made;
    }
}

Result<> check_kind(const std::string& path, const struct stat& status) {
    if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode))
        return {};
    return std::unexpected(wrong(
        path, S_ISDIR(status.st_mode) ? "is a directory" : "is neither a file nor a block device",
        "Name a raw image file or a block device."));
}

Result<UniqueFd> open_file(const BlockFileOptions& options) {
    struct stat status {};
    // First, because to open a FIFO would wait for somebody at its other end.
    if (::stat(options.path.c_str(), &status) != 0)
        return std::unexpected(open_failed(options, errno));
    VMM_TRY(check_kind(options.path, status));
    // The kernel's own claim on a device: file locks hold between openings of one device node only,
    // and a file system that is mounted from it takes none.
    const bool claim = S_ISBLK(status.st_mode) && !options.readonly;
    const int flags = O_CLOEXEC | (options.readonly ? O_RDONLY : O_RDWR) |
                      (options.direct ? O_DIRECT : 0) | (claim ? O_EXCL : 0);
    // Nobody asks when a guest last read its disk. Only the file's owner may leave that out.
    UniqueFd fd{::open(options.path.c_str(), flags | O_NOATIME)};
    if (!fd && errno == EPERM)
        fd = UniqueFd{::open(options.path.c_str(), flags)};
    if (!fd)
        return std::unexpected(open_failed(options, errno));
    return fd;
}

/// Nothing comes back where the file system has no locks, as some network file systems: that is no
/// reason to have no disk.
Result<UniqueFd> lock(const UniqueFd& fd, const BlockFileOptions& options) {
    auto locked = lock_file(fd, options.readonly ? FileLock::Shared : FileLock::Exclusive);
    if (locked)
        return *std::move(locked);
    if (locked.error().os_error() == EAGAIN)
        return std::unexpected(
            wrong(options.path, "is in use: somebody else holds a lock on it",
                  "Stop what uses it, or give it to all of them with readonly=on."));
    log::warn("disk ", options.path, " cannot be locked (errno ", locked.error().os_error(),
              "): nothing keeps other programs from writing to it");
    return UniqueFd{};
}

Result<std::uint64_t> size_of(int fd, bool block_device) {
    if (block_device) {
        std::uint64_t size = 0;
        if (::ioctl(fd, BLKGETSIZE64, &size) != 0)
            return std::unexpected(Error::os("BLKGETSIZE64", errno));
        return size;
    }
    struct stat status {};
    if (::fstat(fd, &status) != 0)
        return std::unexpected(Error::os("fstat", errno));
    return static_cast<std::uint64_t>(status.st_size);
}

bool in_memory(int fd) {
    struct statfs system {};
    if (::fstatfs(fd, &system) != 0)
        return false;
    const auto magic = static_cast<unsigned long>(system.f_type);
    return magic == TMPFS_MAGIC || magic == RAMFS_MAGIC;
}

/// What O_DIRECT wants; kernels from 6.1 on tell, for most file systems.
bool ask_for_direct_units(int fd, HostBlocks& host) {
    struct statx status {};
    if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) != 0 ||
        (status.stx_mask & STATX_DIOALIGN) == 0 || status.stx_dio_offset_align == 0)
        return false;
    host.direct_memory = std::max<std::uint32_t>(status.stx_dio_mem_align, 1);
    host.direct_offset = status.stx_dio_offset_align;
    return true;
}

/// The smallest that O_DIRECT reads; nothing is found in an empty file.
void try_direct_units(int fd, HostBlocks& host) {
    alignas(kHostPage) std::array<std::byte, kHostPage> block{};
    for (std::size_t unit = kSmallestUnit; unit <= kHostPage; unit *= 2) {
        // Aligned to the unit and to no more, so that memory is tried, too.
        std::byte* const at = block.data() + (unit < kHostPage ? unit : 0);
        if (::pread(fd, at, unit, 0) > 0) {
            host.direct_memory = host.direct_offset = unit;
            return;
        }
    }
}

/// A number from the queue of a device, as sysfs has it; 0 if there is none.
std::uint64_t queue_limit(dev_t device, std::string_view name) {
    for (const char* const up : {"", "../"}) {  // a partition has it from its disk
        const UniqueFd fd{::open(
            cat("/sys/dev/block/", major(device), ":", minor(device), "/", up, "queue/", name)
                .c_str(),
            O_RDONLY | O_CLOEXEC)};
        std::array<char, 32> text{};
        const ssize_t length = fd ? ::read(fd.get(), text.data(), text.size()) : 0;
        std::uint64_t number = 0;
        if (length > 0 &&
            std::from_chars(text.data(), text.data() + length, number).ec == std::errc{})
            return number;
    }
    return 0;
}

/// A hole past the end changes nothing, and tells whether there can be holes.
bool file_has_holes(int fd, std::uint64_t size) {
    const auto end = static_cast<off_t>((size + kHostPage - 1) / kHostPage * kHostPage);
    return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, kHostPage) == 0;
}

class BlockFile final : public BlockBackend {
public:
    BlockFile(UniqueFd fd, UniqueFd lock, const BlockFileOptions& options)
        : lock_{std::move(lock)},
          fd_{std::move(fd)},
          requested_{.logical = options.logical_block, .physical = options.physical_block} {
        info_.name = options.path;
        info_.readonly = options.readonly;
        traits_.direct = options.direct;
        io_uring_ = options.io_uring;
    }

    Result<> examine() {
        struct stat status {};
        if (::fstat(fd_.get(), &status) != 0)
            return std::unexpected(Error::os("fstat", errno));
        VMM_TRY(check_kind(info_.name, status));
        traits_.block_device = S_ISBLK(status.st_mode);
        const HostBlocks host =
            traits_.block_device ? examine_device(status.st_rdev) : examine_file(status);
        VMM_TRY(decide_blocks(host, requested_, info_, traits_));
        if (traits_.partial_units && !traits_.block_device && !info_.readonly)
            cached_fd_ =
                UniqueFd{::open(cat("/proc/self/fd/", fd_.get()).c_str(), O_RDWR | O_CLOEXEC)};
        info_.size = VMM_TRY(current_size());
        if (!info_.readonly && !traits_.block_device) {
            info_.can_discard = file_has_holes(fd_.get(), info_.size);
            info_.can_unmap_zeroes = info_.can_discard;
        }
        if (!cached_fd_ && traits_.partial_units && !info_.readonly &&
            info_.size % traits_.file_unit != 0)
            log::warn("disk ", info_.name, ": without /proc its last ",
                      info_.size % traits_.file_unit, " bytes cannot be written with direct=on");
        if (info_.size == 0)
            log::warn("disk ", info_.name, " is empty: the guest sees a disk without a block");
        if (info_.size % info_.logical_block != 0)
            log::warn("disk ", info_.name, ": the last ", info_.size % info_.logical_block,
                      " bytes are less than a block; the guest does not see them");
        return {};
    }

    const BlockInfo& info() const noexcept override { return info_; }

    Result<std::uint64_t> current_size() const override {
        const auto size =
            VMM_TRY_OR(size_of(fd_.get(), traits_.block_device), cat("disk ", info_.name));
        return size;
    }

    Result<std::unique_ptr<BlockQueue>> make_queue(unsigned depth) override {
        auto made = VMM_TRY(BlockFileQueue::create(fd_.get(),
                                                   {.traits = traits_,
                                                    .depth = depth,
                                                    .io_uring = io_uring_,
                                                    .cached_fd = cached_fd_.get()},
                                                   nullptr));
        return made;
    }

private:
    HostBlocks examine_device(dev_t device) {
        HostBlocks host{.block_device = true,
                        .page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))};
        int logical = 0;
        unsigned physical = 0;
        if (::ioctl(fd_.get(), BLKSSZGET, &logical) == 0 && logical > 0)
            host.logical = static_cast<std::uint64_t>(logical);
        if (::ioctl(fd_.get(), BLKPBSZGET, &physical) == 0)
            host.physical = physical;
        if (traits_.direct)
            ask_for_direct_units(fd_.get(), host);
        if (info_.readonly)
            return host;
        host.discard = queue_limit(device, "discard_granularity");
        info_.can_discard = queue_limit(device, "discard_max_bytes") != 0;
        info_.can_unmap_zeroes =
            info_.can_discard && queue_limit(device, "write_zeroes_max_bytes") != 0;
        return host;
    }

    HostBlocks examine_file(const struct stat& status) {
        HostBlocks host{.physical = static_cast<std::uint64_t>(status.st_blksize)};
        traits_.memory = in_memory(fd_.get());
        if (traits_.direct && !ask_for_direct_units(fd_.get(), host))
            try_direct_units(fd_.get(), host);
        return host;
    }

    UniqueFd lock_;  // released last
    UniqueFd fd_;
    UniqueFd cached_fd_;  // without O_DIRECT, for the end of a file within a unit
    RequestedBlockSizes requested_;
    BlockInfo info_;
    BlockTraits traits_;
    bool io_uring_ = true;
};

}  // namespace

Result<std::unique_ptr<BlockBackend>> open_block_file(const BlockFileOptions& options) {
    auto fd = VMM_TRY(open_file(options));
    auto locked = VMM_TRY(lock(fd, options));
    auto made = std::make_unique<BlockFile>(std::move(fd), std::move(locked), options);
    VMM_TRY(made->examine());
    return made;
}

}  // namespace vmm
