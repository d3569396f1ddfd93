// The host's side of guest RAM: anonymous, memfd, huge pages or a file, and what the kernel is
// told.
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "memory/guest_ram.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kHugePage = 2 * kMiB;

std::string in_mib(std::uint64_t bytes) {
    return cat(bytes / kMiB, " MiB");
}

// Said before the kernel would say it by killing somebody.
Result<> check_host_has(std::uint64_t size) {
    struct sysinfo host {};
    if (::sysinfo(&host) != 0)
        return {};
    const auto all = (std::uint64_t{host.totalram} + host.totalswap) * host.mem_unit;
    if (size <= all)
        return {};
    return std::unexpected(
        Error{ErrorKind::Config, cat("memory: the guest is to have ", in_mib(size),
                                     ", this host has ", in_mib(all), " with its swap")}
            .hint("give the guest less with --memory SIZE"));
}

Result<UniqueFd> open_ram_file(const std::string& path, std::uint64_t size) {
    UniqueFd file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    const int why = errno;
    if (!file)
        return std::unexpected(Error::os("open", why).context(cat("memory: open ", path)));
    struct stat about {};
    if (::fstat(file.get(), &about) != 0)
        return std::unexpected(Error::os("fstat", errno));
    if (!S_ISREG(about.st_mode))
        return std::unexpected(
            Error{ErrorKind::Config, cat("memory: ", path, " is not a regular file")});
    const auto length = static_cast<std::uint64_t>(about.st_size);
    if (length == 0 && ::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
        return std::unexpected(
            Error::os("ftruncate", errno).context(cat("memory: make ", path, " as large as RAM")));
    if (length != 0 && length < size)
        return std::unexpected(Error{
            ErrorKind::Config,
            cat("memory: ", path, " has ", in_mib(length), ", the guest is to have ", in_mib(size))}
                                   .hint(cat("make it larger with `truncate -s ", size, " ", path,
                                             "`, or name a file that does not exist yet")));
    return file;
}

Result<UniqueFd> open_memfd(const RamSettings& settings, std::uint64_t size) {
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    if (settings.hugepages) {
        flags |= MFD_HUGETLB;
        if (settings.hugepage_size != 0)
            flags |= static_cast<unsigned>(std::countr_zero(settings.hugepage_size))
                     << MFD_HUGE_SHIFT;
    }
    UniqueFd memory{::memfd_create("guest-ram", flags)};
    if (!memory)
        return std::unexpected(Error::os("memfd_create", errno).context("memory"));
    if (::ftruncate(memory.get(), static_cast<off_t>(size)) != 0)
        return std::unexpected(Error::os("ftruncate", errno).context("memory"));
    // Nobody who gets this descriptor can take RAM away under the guest.
    if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return std::unexpected(Error::os("fcntl(F_ADD_SEALS)", errno).context("memory"));
    return memory;
}

Error no_huge_pages(int why, std::uint64_t size, std::uint64_t page_size) {
    const auto pages = (size + page_size - 1) / page_size;
    return Error::os("mmap", why)
        .context(cat("memory: take ", pages, " huge pages of ", in_mib(page_size)))
        .hint(cat("make some with `echo ", pages, " > /sys/kernel/mm/hugepages/hugepages-",
                  page_size / 1024, "kB/nr_hugepages` as root, or leave hugepages off"));
}

std::uint64_t default_huge_page_size() {
    std::uint64_t size = kHugePage;
    const UniqueFd meminfo{::open("/proc/meminfo", O_RDONLY | O_CLOEXEC)};
    std::array<char, 4096> text{};
    if (meminfo && ::read(meminfo.get(), text.data(), text.size() - 1) > 0)
        if (const char* line = std::strstr(text.data(), "Hugepagesize:"))
            size = std::strtoull(line + std::strlen("Hugepagesize:"), nullptr, 10) * 1024;
    return size;
}

}  // namespace

GuestRam::~GuestRam() {
    if (reserved_)
        ::munmap(reserved_, reserved_size_);
}

Result<> GuestRam::map(const RamSettings& settings) {
    thp_ = settings.thp && !settings.hugepages;
    huge_ = settings.hugepages;
    prefault_ = settings.prefault;
    if (settings.hugepages) {
        page_size_ = settings.hugepage_size ? settings.hugepage_size : default_huge_page_size();
        if (!std::has_single_bit(page_size_) || size_ % page_size_ != 0)
            return std::unexpected(Error{ErrorKind::Config, cat("memory: ", size_,
                                                                " bytes are not a multiple of the "
                                                                "huge page size, ",
                                                                page_size_)}
                                       .hint("choose a size that is, or another hugepage_size"));
    } else if (settings.file.empty()) {
        VMM_TRY(check_host_has(size_));
    }
    VMM_TRY(reserve(std::max(page_size_, kHugePage)));
    VMM_TRY(map_source(settings));

    // A passt or virtiofsd that we start must not inherit the guest, nor a core file hold it.
    ::madvise(host_, size_, MADV_DONTFORK);
    ::madvise(host_, size_, MADV_DONTDUMP);
    if (!huge_)
        ::madvise(host_, size_, MADV_NOHUGEPAGE);
    if (settings.prefault) {
        advise_huge_pages();
        return populate();
    }
    return {};
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
                .context(cat("memory: find room for ", in_mib(size_), " in the address space")));
    reserved_ = static_cast<std::byte*>(at);
    const auto first = std::bit_cast<std::uintptr_t>(at) + 4096;  // a guard page at the least
    const auto aligned = (first + alignment - 1) & ~(alignment - 1);
    host_ = reserved_ + (aligned - std::bit_cast<std::uintptr_t>(at));
    return {};
}

Result<> GuestRam::map_source(const RamSettings& settings) {
    shared_ = settings.shared;
    if (!settings.file.empty())
        fd_ = VMM_TRY(open_ram_file(settings.file, size_));
    else if (settings.shared || settings.hugepages)
        fd_ = VMM_TRY(open_memfd(settings, size_));

    // Huge pages are reserved now, so that a pool that is too small is an error here and not a
    // SIGBUS later; ordinary memory is not, since most guests never touch all of theirs.
    int flags = MAP_FIXED | (settings.hugepages ? 0 : MAP_NORESERVE);
    flags |= settings.shared ? MAP_SHARED : MAP_PRIVATE;
    if (!fd_)
        flags |= MAP_ANONYMOUS;
    const void* const at =
        ::mmap(host_, size_, PROT_READ | PROT_WRITE, flags, fd_ ? fd_.get() : -1, 0);
    const int why = errno;
    if (at == MAP_FAILED && settings.hugepages)
        return std::unexpected(no_huge_pages(why, size_, page_size_));
    if (at == MAP_FAILED)
        return std::unexpected(
            Error::os("mmap", why).context(cat("memory: map ", in_mib(size_), " of guest RAM")));
    return {};
}

Result<> GuestRam::populate() {
    if (::madvise(host_, size_, MADV_POPULATE_WRITE) == 0)
        return {};
    if (errno != EINVAL)
        return std::unexpected(Error::os("madvise(MADV_POPULATE_WRITE)", errno)
                                   .context(cat("memory: prefault ", in_mib(size_)))
                                   .hint("give the guest less memory, or leave prefault off"));
    for (std::uint64_t offset = 0; offset < size_; offset += 4096)  // Linux before 5.14
        std::atomic_ref{reinterpret_cast<unsigned char&>(host_[offset])}.fetch_or(0);
    return {};
}

void GuestRam::advise_huge_pages() noexcept {
    if (thp_)
        ::madvise(host_, size_, MADV_HUGEPAGE);  // no THP in this kernel: nothing lost
}

Result<> GuestRam::clear() {
    const bool drop_private = !shared_;
    if (::madvise(host_, size_, drop_private ? MADV_DONTNEED : MADV_REMOVE) == 0) {
        // What was promised at the start: before 6.9 the pool takes the huge pages back, so that
        // one which has run dry meanwhile would be a SIGBUS later.
        if (prefault_ || huge_)
            return populate();
        return {};
    }
    // A kernel or file system that cannot drop pages: clear the bytes instead.
    std::memset(host_, 0, size_);
    return {};
}

}  // namespace vmm
