// SPDX-License-Identifier: Apache-2.0
// The host's side of guest RAM: anonymous, memfd, huge pages or a file, and what the kernel is
// told.
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "memory/guest_ram.hpp"
#include "memory/host_memory.hpp"
#include "vmm/host_page.hpp"
#include "vmm/size_text.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

Result<UniqueFd> open_memfd(const RamSettings& settings, std::uint64_t size) {
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    if (settings.hugepages) {
        flags |= MFD_HUGETLB;
        if (settings.hugepage_size != 0)
            flags |= static_cast<unsigned>(std::countr_zero(settings.hugepage_size))
                     << MFD_HUGE_SHIFT;
    }
    UniqueFd memory{::memfd_create("guest-ram", flags)};
    const int why = errno;
    if (!memory && settings.hugepages && (why == ENODEV || why == EINVAL))
        return std::unexpected(no_such_huge_pages(
            "memfd_create", why,
            settings.hugepage_size ? settings.hugepage_size : default_huge_page_size()));
    if (!memory)
        return std::unexpected(Error::os("memfd_create", why).context("memory"));
    if (::ftruncate(memory.get(), static_cast<off_t>(size)) != 0) {
        auto made = Error::os("ftruncate", errno)
                        .context(cat("memory: share ", size_text(size), " of RAM"));
        if (made.os_error() == EFBIG)  // memory too, as long as it is a file
            return std::unexpected(std::move(made).hint(
                "Raise the limit on the size of files (`ulimit -f unlimited`), or leave out "
                "shared=on."));
        return std::unexpected(std::move(made));
    }
    // Nobody who gets this descriptor can take RAM away under the guest.
    if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return std::unexpected(Error::os("fcntl(F_ADD_SEALS)", errno).context("memory"));
    return memory;
}

}  // namespace

GuestRam::~GuestRam() {
    if (reserved_)
        ::munmap(reserved_, reserved_size_);
}

Result<> GuestRam::open_source(const RamSettings& settings) {
    if (size_ % host_page() != 0)
        return std::unexpected(Error{ErrorKind::Config, cat("memory: ", size_text(size_),
                                                            " are not whole pages of this host, "
                                                            "which has pages of ",
                                                            size_text(host_page()))}
                                   .hint("Give a multiple of it with --memory SIZE."));
    shared_ = settings.shared || !settings.file.empty();
    huge_ = settings.hugepages;
    if (!settings.file.empty()) {
        file_.emplace(VMM_TRY(RamFile::open(settings.file, size_)));
        huge_ = file_->huge_page_size() != 0;
        if (huge_)
            page_size_ = file_->huge_page_size();
    } else if (huge_) {
        page_size_ = settings.hugepage_size ? settings.hugepage_size : default_huge_page_size();
        if (!std::has_single_bit(page_size_))
            return std::unexpected(
                Error{ErrorKind::Config,
                      cat("memory: ", page_size_, " bytes are not the size of a huge page")});
        VMM_TRY(check_whole_huge_pages(size_, page_size_, "the pool"));
    } else {
        VMM_TRY(check_host_memory(size_));
    }
    if (!file_ && (shared_ || huge_))
        memfd_ = VMM_TRY(open_memfd(settings, size_));
    zero_ = !file_ || file_->is_new();
    return {};
}

Result<> GuestRam::map(const RamSettings& settings) {
    thp_ = settings.thp && !huge_;
    prefault_ = settings.prefault;
    VMM_TRY(reserve(std::max(page_size_, host_huge_page())));
    VMM_TRY(map_source());
    name_backing(settings);

    // A passt or virtiofsd that we start must not inherit the guest, nor a core file hold it.
    ::madvise(host_, size_, MADV_DONTFORK);
    ::madvise(host_, size_, MADV_DONTDUMP);
    if (!huge_)
        ::madvise(host_, size_, MADV_NOHUGEPAGE);
    if (!prefault_)
        return {};
    advise_huge_pages();
    return zero_ ? populate() : Result<>{};  // clear() would drop the pages again
}

Result<> GuestRam::reserve(std::uint64_t alignment) {
    if (size_ > (std::uint64_t{1} << 46))
        return std::unexpected(Error{ErrorKind::Config, cat("memory: ", size_,
                                                            " bytes are more than an address space "
                                                            "can hold")});
    reserved_size_ = size_ + 2 * alignment;
    void* const at = ::mmap(nullptr, reserved_size_, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return std::unexpected(
            Error::os("mmap", errno)
                .context(cat("memory: find room for ", size_text(size_), " in the address space"))
                .hint("Raise the limit on address space (`ulimit -v unlimited`), or give the guest "
                      "less with --memory SIZE."));
    reserved_ = static_cast<std::byte*>(at);
    const auto first =
        std::bit_cast<std::uintptr_t>(at) + host_page();  // a guard page at the least
    const auto aligned = (first + alignment - 1) & ~(alignment - 1);
    host_ = reserved_ + (aligned - std::bit_cast<std::uintptr_t>(at));
    return {};
}

Result<> GuestRam::map_source() {
    // Huge pages are reserved now, so that a pool that is too small is an error here and not a
    // SIGBUS later; ordinary memory is not, since most guests never touch all of theirs.
    int flags = MAP_FIXED | (huge_ ? 0 : MAP_NORESERVE);
    flags |= shared_ ? MAP_SHARED : MAP_PRIVATE;
    if (fd() < 0)
        flags |= MAP_ANONYMOUS;
    const void* const at = ::mmap(host_, size_, PROT_READ | PROT_WRITE, flags, fd(), 0);
    const int why = errno;
    if (at == MAP_FAILED && huge_ && (why == ENOMEM || why == ENOSPC))
        return std::unexpected(huge_page_pool_is_short("mmap", why, size_, page_size_));
    if (at == MAP_FAILED)
        return std::unexpected(
            Error::os("mmap", why)
                .context(cat("memory: map ", size_text(size_), " of guest RAM"))
                .hint("Give the guest less with --memory SIZE; a host that does not overcommit "
                      "memory (vm.overcommit_memory=2) has to have all of it free."));
    return {};
}

// For the SIGBUS that comes when a page cannot be had.
void GuestRam::name_backing(const RamSettings& settings) {
    std::string what = "guest RAM";
    std::string help = "The host is out of memory, or a page of it is broken: see its kernel log.";
    if (!settings.file.empty()) {
        what = cat("guest RAM from the file ", settings.file);
        help = cat("See whether ", settings.file,
                   " was truncated or its file system (or pool of huge pages) is full.");
    } else if (settings.hugepages) {
        what = "guest RAM from the pool of huge pages";
        help = "Enlarge the pool (/proc/sys/vm/nr_hugepages), or leave hugepages off.";
    }
    backed_.emplace(std::span{host_, size_}, std::move(what), std::move(help));
}

// In pieces: a signal is not delivered before a call has come back, and 2 GiB take a while.
int GuestRam::populate_pieces() noexcept {
    constexpr std::uint64_t kPiece = std::uint64_t{64} << 20;
    const auto piece = std::max(kPiece, page_size_);
    for (std::uint64_t offset = 0; offset < size_; offset += piece)
        if (::madvise(host_ + offset, std::min(piece, size_ - offset), MADV_POPULATE_WRITE) != 0)
            return errno;
    return 0;
}

Result<> GuestRam::populate() {
    const int why = populate_pieces();
    if (why == 0)
        return {};
    if (why != EINVAL && huge_)
        return std::unexpected(
            huge_page_pool_is_short("madvise(MADV_POPULATE_WRITE)", why, size_, page_size_));
    if (why != EINVAL)
        return std::unexpected(Error::os("madvise(MADV_POPULATE_WRITE)", why)
                                   .context(cat("memory: prefault ", size_text(size_)))
                                   .hint("Give the guest less memory, or leave prefault off."));
    for (std::uint64_t offset = 0; offset < size_; offset += 4096)  // Linux before 5.14
        std::atomic_ref{reinterpret_cast<unsigned char&>(host_[offset])}.fetch_or(0);
    return {};
}

void GuestRam::advise_huge_pages() noexcept {
    if (thp_)
        ::madvise(host_, size_, MADV_HUGEPAGE);  // no THP in this kernel: nothing lost
}

Result<> GuestRam::clear() {
    VMM_TRY(share_all());
    if (std::exchange(zero_, false))
        return {};
    if (!VMM_TRY(drop_pages()))
        std::memset(host_, 0, size_);  // the kernel or the file system cannot drop pages
    // What was promised at the start: before 6.9 the pool takes the huge pages back, so that one
    // which has run dry meanwhile would be a SIGBUS later.
    return prefault_ || huge_ ? populate() : Result<>{};
}

Result<bool> GuestRam::drop_pages() {
    if (file_)
        return file_->clear();
    return shared_ ? punch(memfd_.get(), size_) : ::madvise(host_, size_, MADV_DONTNEED) == 0;
}

void GuestRam::keep_file() noexcept {
    if (file_)
        file_->keep();
}

}  // namespace vmm
