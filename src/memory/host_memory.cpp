// SPDX-License-Identifier: Apache-2.0
#include "memory/host_memory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "vmm/size_text.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

constexpr std::string_view kPools = "/sys/kernel/mm/hugepages";

std::string pool_of(std::uint64_t page_size) {
    return cat(kPools, "/hugepages-", page_size / 1024, "kB");
}

/// A counter of a pool; 0 if it cannot be read.
std::uint64_t read_counter(const std::string& pool, std::string_view name) {
    const UniqueFd fd{::open(cat(pool, "/", name).c_str(), O_RDONLY | O_CLOEXEC)};
    std::array<char, 32> text{};
    const auto got = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
    std::uint64_t value = 0;
    if (got > 0)
        std::from_chars(text.data(), text.data() + got, value);
    return value;
}

std::vector<std::uint64_t> huge_page_sizes() {
    std::vector<std::uint64_t> sizes;
    const std::unique_ptr<DIR, int (*)(DIR*)> pools{::opendir(std::string{kPools}.c_str()),
                                                    &::closedir};
    while (const dirent* const entry = pools ? ::readdir(pools.get()) : nullptr) {
        constexpr std::string_view kPrefix = "hugepages-";
        std::string_view name{entry->d_name};
        std::uint64_t kib = 0;
        if (!name.starts_with(kPrefix))
            continue;
        name.remove_prefix(kPrefix.size());
        std::from_chars(name.data(), name.data() + name.size(), kib);
        if (kib != 0)
            sizes.push_back(kib * 1024);
    }
    std::ranges::sort(sizes);
    return sizes;
}

}  // namespace

Result<> check_host_memory(std::uint64_t size) {
    struct sysinfo host {};
    if (::sysinfo(&host) != 0)
        return {};
    const auto all = (std::uint64_t{host.totalram} + host.totalswap) * host.mem_unit;
    if (size <= all)
        return {};
    return std::unexpected(
        Error{ErrorKind::Config, cat("memory: the guest is to have ", size_text(size),
                                     ", this host has ", size_text(all), " with its swap")}
            .hint("Give the guest less with --memory SIZE."));
}

std::uint64_t default_huge_page_size() {
    std::uint64_t size = 2 * kMiB;
    const UniqueFd meminfo{::open("/proc/meminfo", O_RDONLY | O_CLOEXEC)};
    std::array<char, 4096> text{};
    if (meminfo && ::read(meminfo.get(), text.data(), text.size() - 1) > 0)
        if (const char* line = std::strstr(text.data(), "Hugepagesize:"))
            size = std::strtoull(line + std::strlen("Hugepagesize:"), nullptr, 10) * 1024;
    return size;
}

Result<> check_whole_huge_pages(std::uint64_t size, std::uint64_t page_size,
                                const std::string& where) {
    if (size % page_size == 0)
        return {};
    const auto less = size / page_size * page_size;
    const auto more = less + page_size;
    return std::unexpected(
        Error{ErrorKind::Config,
              cat("memory: ", size_text(size), " of RAM cannot be made of the huge pages of ",
                  size_text(page_size), " of ", where)}
            .hint(less == 0 ? cat("Give the guest ", size_text(more), " or a multiple of it.")
                            : cat("Give the guest a multiple of ", size_text(page_size),
                                  ", such as ", size_text(less), " or ", size_text(more), ".")));
}

Error huge_page_pool_is_short(const char* call, int why, std::uint64_t size,
                              std::uint64_t page_size) {
    const auto pool = pool_of(page_size);
    const auto pages = (size + page_size - 1) / page_size;
    const auto all = read_counter(pool, "nr_hugepages");
    const auto free = read_counter(pool, "free_hugepages");
    const auto unreserved = free - std::min(free, read_counter(pool, "resv_hugepages"));
    // Other programs keep theirs, so it is the missing ones that are added.
    const auto wanted = all + (pages - std::min(pages, unreserved));
    auto made = Error::os(call, why).context(cat("memory: reserve ", pages, " huge pages of ",
                                                 size_text(page_size), ", of which ", unreserved,
                                                 " are free"));
    if (unreserved >= pages)  // a limit of the mount or of a control group
        return std::move(made).hint(
            "Raise the limit on huge pages that the mount (size=) or the control group sets.");
    return std::move(made).hint(cat("Make the pool larger with `echo ", wanted, " > ", pool,
                                    "/nr_hugepages` as root, or use ordinary pages."));
}

Error no_such_huge_pages(const char* call, int why, std::uint64_t page_size) {
    auto made = Error::os(call, why)
                    .context(cat("memory: take huge pages of ", size_text(page_size),
                                 ", which this host lacks"))
                    .as(ErrorKind::Config);
    std::string sizes;
    for (const auto size : huge_page_sizes())
        sizes += cat(sizes.empty() ? "" : " and ", size_text(size));
    if (sizes.empty())
        return std::move(made).hint("Leave hugepages out: this kernel has no pool of them.");
    return std::move(made).hint(
        cat("Give another hugepage_size, or leave it out: the host has pages of ", sizes, "."));
}

}  // namespace vmm
