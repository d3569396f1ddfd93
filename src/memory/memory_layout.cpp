// SPDX-License-Identifier: Apache-2.0
// What is where besides RAM, and who is told.
#include <algorithm>
#include <mutex>

#include "memory/guest_ram.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

bool overlap(const GpaRange& a, const GpaRange& b) {
    return a.contains(b.first, 1) || b.contains(a.first, 1);
}

bool is_same(const MemoryRegion& a, const MemoryRegion& b) {
    return a.range.first == b.range.first && a.range.size == b.range.size;
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

}  // namespace

Result<> GuestRam::subscribe(MemoryObserver& observer) {
    const std::scoped_lock held{layout_lock_};
    VMM_TRY(tell(observer, regions_));
    if (auto told = tell(observer, device_memory_); !told) {
        for (const auto& region : regions_)
            observer.memory_removed(region);
        return told;
    }
    observers_.push_back(&observer);
    return {};
}

Result<> GuestRam::add(const MemoryRegion& region) {
    const std::scoped_lock held{layout_lock_};
    const auto in_the_way = [&](const MemoryRegion& other) {
        return overlap(other.range, region.range);
    };
    if (std::ranges::any_of(regions_, in_the_way) ||
        std::ranges::any_of(device_memory_, in_the_way))
        return std::unexpected(
            Error{ErrorKind::Config, cat("there is memory at ", region.range.first, " already")});
    for (std::size_t i = 0; i < observers_.size(); ++i) {
        auto told = observers_[i]->memory_added(region);
        if (told)
            continue;
        while (i-- > 0)
            observers_[i]->memory_removed(region);
        return told;
    }
    device_memory_.push_back(region);
    return {};
}

void GuestRam::remove(const MemoryRegion& region) noexcept {
    const std::scoped_lock held{layout_lock_};
    const auto there = std::ranges::find_if(
        device_memory_, [&](const MemoryRegion& other) { return is_same(other, region); });
    if (there == device_memory_.end())
        return;
    for (auto* const observer : observers_)
        observer->memory_removed(*there);
    device_memory_.erase(there);
}

}  // namespace vmm
