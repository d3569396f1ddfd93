// SPDX-License-Identifier: Apache-2.0
// Guest RAM: where its bytes come from, where the guest sees them, and who is told.
//
// One host mapping holds all of it, the part above the 4 GiB hole directly behind the part below;
// it is aligned so that a huge page of the host is one of the guest as well, and has guard pages
// on both ends.
// RAM that nobody wrote to is zero: loaders and guests rely on it. clear() makes it so, whatever is
// behind it, and runs before anything is loaded, at each start and at each reset.
// Units: bytes. Threads: GuestMemory and MemoryLayout are for any thread; everything else is the
// machine's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "memory/page_ranges.hpp"
#include "memory/ram_file.hpp"
#include "vmm/error.hpp"
#include "vmm/faults.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/memory_layout.hpp"
#include "vmm/mutex.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

struct RamSettings {
    bool shared = false;              ///< a memfd that other processes can map (vhost-user)
    bool hugepages = false;           ///< from the hugetlb pool, reserved when the machine starts
    std::uint64_t hugepage_size = 0;  ///< 0: the host's default
    bool prefault = false;            ///< all of it now rather than when it is touched
    bool thp = true;                  ///< transparent huge pages, see advise_huge_pages()
    std::string file;                 ///< RAM is this file, whatever `shared` says; see RamFile
};

class GuestRam final : public GuestMemory, public MemoryLayout {
public:
    /// `ranges` ascend; those that touch in the guest do so in the host. Each is a multiple of 4
    /// KiB, of the huge page size where those are asked for. Errors name the way out.
    static Result<std::unique_ptr<GuestRam>> create(std::span<const GpaRange> ranges,
                                                    const RamSettings& settings);
    ~GuestRam() override;
    GuestRam(const GuestRam&) = delete;
    GuestRam& operator=(const GuestRam&) = delete;

    bool copy_in(Gpa from, std::span<std::byte> to) const noexcept override;
    bool copy_out(Gpa to, std::span<const std::byte> from) noexcept override;
    std::optional<std::size_t> host_iovecs(Gpa at, std::uint64_t length, Transfer transfer,
                                           std::span<iovec> out) const noexcept override;
    GuestView view(Gpa at, std::uint64_t length) const noexcept override;

    // MemoryLayout, in memory_layout.cpp

    Result<> subscribe(MemoryObserver& observer) override;
    Result<> add(const MemoryRegion& region) override;
    void remove(const MemoryRegion& region) noexcept override;
    Result<> set_privacy(GpaRange range, Privacy privacy) override;
    std::span<const MemoryRegion> regions() const noexcept override { return regions_; }

    /// From now on the host may back RAM with transparent huge pages, if the settings want them.
    /// Before this it does not, so that a small payload does not cost a cleared 2 MiB for each
    /// page that start-up touches: called before a large kernel is loaded, else before vCPUs run.
    void advise_huge_pages() noexcept;

    /// Zero and shared, as at power-on, and backed as the settings promise. Costs nothing the first
    /// time, unless a file has something in it. No vCPU and no device runs.
    Result<> clear();

    /// The machine has started: a file of RAM that was made for it stays when it ends. Before this,
    /// a file is left behind as it was found.
    void keep_file() noexcept;

    std::uint64_t size() const noexcept { return size_; }

private:
    GuestRam() = default;

    struct Piece {
        std::byte* host;
        std::uint64_t size;
    };
    /// Where RAM is at `at` and how much of `length` is there in one piece; null if it is not RAM.
    Piece piece(Gpa at, std::uint64_t length) const noexcept;
    template <class Use>
    bool for_each_piece(Gpa at, std::uint64_t length, Use use) const noexcept;

    bool one_range(Gpa at, std::uint64_t length) const noexcept;

    Result<> open_source(const RamSettings& settings);
    Result<> map(const RamSettings& settings);
    Result<> reserve(std::uint64_t alignment);
    Result<> map_source();
    Result<bool> drop_pages();
    void name_backing(const RamSettings& settings);
    Result<> populate();
    int fd() const noexcept { return file_ ? file_->fd() : memfd_.get(); }
    int populate_pieces() noexcept;  // 0, or errno

    // With layout_lock_ held, but for share_all().
    struct PrivacyChange;
    static Result<> tell_privacy(MemoryObserver& observer, std::span<const PrivacyChange> changes,
                                 Privacy now);
    std::vector<PrivacyChange> changes_in(GpaRange range, Privacy now) const;
    Result<> replay(MemoryObserver& observer);
    Result<> change_privacy(GpaRange range, Privacy privacy);
    Result<> share_all();

    std::optional<BackedMemory> backed_;  // by what can run dry
    std::byte* reserved_ = nullptr;       // the mapping with its guard pages
    std::size_t reserved_size_ = 0;
    std::byte* host_ = nullptr;
    std::uint64_t size_ = 0;
    std::uint64_t page_size_ = 4096;
    UniqueFd memfd_;
    std::optional<RamFile> file_;
    bool shared_ = false;
    bool zero_ = false;  // nobody has written to it since it was mapped
    bool huge_ = false;
    bool thp_ = false;
    bool prefault_ = false;
    std::vector<MemoryRegion> regions_;  // ascending

    RankedMutex<LockRank::MemoryLayout> layout_lock_;  // over what follows
    std::vector<MemoryObserver*> observers_;
    std::vector<MemoryRegion> others_;  // ROM and device memory
    PageRanges private_;
};

}  // namespace vmm
