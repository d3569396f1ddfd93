// SPDX-License-Identifier: Apache-2.0
// What is where besides RAM, what of RAM is private, and who is told.
#include <algorithm>
#include <bit>
#include <mutex>

#include "memory/guest_ram.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

constexpr std::uint64_t kPage = 4096;

bool overlap(const GpaRange& a, const GpaRange& b) {
    return a.contains(b.first, 1) || b.contains(a.first, 1);
}

/// The part that both have; empty where they have none. Neither reaches 2^64.
GpaRange common(const GpaRange& a, const GpaRange& b) {
    const auto from = std::max(a.first, b.first);
    const auto to = std::min(end_of(a), end_of(b));
    return {from, to > from.value() ? to - from.value() : 0};
}

bool is_same(const MemoryRegion& a, const MemoryRegion& b) {
    return a.range.first == b.range.first && a.range.size == b.range.size;
}

/// Some pages, below 2^64.
bool are_pages(const GpaRange& range) {
    return range.size != 0 && range.size % kPage == 0 && range.first.value() % kPage == 0 &&
           range.first.value() <= ~range.size;
}

Error refusal(std::string what) {
    return Error{ErrorKind::Config, std::move(what)};
}

Privacy opposite(Privacy privacy) {
    return privacy == Privacy::Private ? Privacy::Shared : Privacy::Private;
}

/// Tells `observer` of regions; of none, if it cannot follow one of them.
Result<> tell(MemoryObserver& observer, std::span<const MemoryRegion> regions) {
    for (std::size_t i = 0; i < regions.size(); ++i) {
        auto told = observer.memory_added(regions[i]);
        if (told)
            continue;
        for (const auto& region : regions.first(i))
            observer.memory_removed(region);
        return told;
    }
    return {};
}

void take_back(MemoryObserver& observer, const MemoryRegion& region, GpaRange part, Privacy tried) {
    auto told = observer.privacy_changed(region, part, opposite(tried));
    if (!told)
        log::error("RAM at ", part.first, " could not be made ",
                   tried == Privacy::Private ? "shared" : "private",
                   " again: ", told.error().one_line());
}

}  // namespace

/// What becomes private, or shared, with the region that it is in.
struct GuestRam::PrivacyChange {
    const MemoryRegion* region;
    GpaRange part;
};

Result<> GuestRam::tell_privacy(MemoryObserver& observer, std::span<const PrivacyChange> changes,
                                Privacy now) {
    for (std::size_t i = 0; i < changes.size(); ++i) {
        auto told = observer.privacy_changed(*changes[i].region, changes[i].part, now);
        if (told)
            continue;
        while (i-- > 0)
            take_back(observer, *changes[i].region, changes[i].part, now);
        return told;
    }
    return {};
}

std::vector<GuestRam::PrivacyChange> GuestRam::changes_in(GpaRange range, Privacy now) const {
    std::vector<PrivacyChange> changes;
    for (const auto& region : regions_) {
        const auto in_region = common(region.range, range);
        if (in_region.size == 0)
            continue;
        for (const auto part :
             now == Privacy::Private ? private_.missing(in_region) : private_.within(in_region))
            changes.push_back({&region, part});
    }
    return changes;
}

Result<> GuestRam::replay(MemoryObserver& observer) {
    VMM_TRY(tell(observer, regions_));
    auto told = tell(observer, others_);
    if (told && private_.empty())
        return {};
    if (told) {
        std::vector<PrivacyChange> all;
        for (const auto& region : regions_)
            for (const auto part : private_.within(region.range))
                all.push_back({&region, part});
        told = tell_privacy(observer, all, Privacy::Private);
        if (told)
            return {};
        for (const auto& region : others_)
            observer.memory_removed(region);
    }
    for (const auto& region : regions_)
        observer.memory_removed(region);
    return told;
}

Result<> GuestRam::subscribe(MemoryObserver& observer) {
    const std::scoped_lock held{layout_lock_};
    VMM_TRY(replay(observer));
    observers_.push_back(&observer);
    return {};
}

Result<> GuestRam::add(const MemoryRegion& region) {
    if (region.kind == MemoryKind::Ram)
        return std::unexpected(refusal("RAM cannot be added to a machine that has its RAM"));
    if (!are_pages(region.range) || !region.host ||
        std::bit_cast<std::uintptr_t>(region.host) % kPage != 0)
        return std::unexpected(refusal(cat("memory of ", Hex{region.range.size}, " bytes at ",
                                           region.range.first, " is not whole pages")));
    const std::scoped_lock held{layout_lock_};
    const auto in_the_way = [&](const MemoryRegion& other) {
        return overlap(other.range, region.range);
    };
    if (std::ranges::any_of(regions_, in_the_way) || std::ranges::any_of(others_, in_the_way))
        return std::unexpected(refusal(cat("there is memory at ", region.range.first, " already")));
    for (std::size_t i = 0; i < observers_.size(); ++i) {
        auto told = observers_[i]->memory_added(region);
        if (told)
            continue;
        while (i-- > 0)
            observers_[i]->memory_removed(region);
        return told;
    }
    others_.push_back(region);
    return {};
}

void GuestRam::remove(const MemoryRegion& region) noexcept {
    const std::scoped_lock held{layout_lock_};
    const auto there = std::ranges::find_if(
        others_, [&](const MemoryRegion& other) { return is_same(other, region); });
    if (there == others_.end())
        return;
    for (auto* const observer : observers_)
        observer->memory_removed(*there);
    others_.erase(there);
}

Result<> GuestRam::set_privacy(GpaRange range, Privacy privacy) {
    if (!are_pages(range) || !one_range(range.first, range.size))
        return std::unexpected(refusal(cat("the ", Hex{range.size}, " bytes at ", range.first,
                                           " are not whole pages of RAM, and nothing else can be "
                                           "private or shared")));
    const std::scoped_lock held{layout_lock_};
    return change_privacy(range, privacy);
}

Result<> GuestRam::change_privacy(GpaRange range, Privacy privacy) {
    const auto changes = changes_in(range, privacy);
    for (std::size_t i = 0; i < observers_.size(); ++i) {
        auto told = tell_privacy(*observers_[i], changes, privacy);
        if (told)
            continue;
        while (i-- > 0)
            for (auto change = changes.rbegin(); change != changes.rend(); ++change)
                take_back(*observers_[i], *change->region, change->part, privacy);
        return told;
    }
    if (privacy == Privacy::Private)
        private_.add(range);
    else
        private_.remove(range);
    return {};
}

Result<> GuestRam::share_all() {
    const std::scoped_lock held{layout_lock_};
    if (private_.empty())  // at every start
        return {};
    for (const auto& region : regions_)
        VMM_TRY(change_privacy(region.range, Privacy::Shared));
    return {};
}

}  // namespace vmm
