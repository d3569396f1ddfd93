// SPDX-License-Identifier: Apache-2.0
#include "bus/bus.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "vmm/text.hpp"

namespace vmm {

Bus::Bus() : map_{std::make_shared<const Map>()}, version_{1} {}

Result<> Bus::map(std::uint64_t base, std::uint64_t size, IoDevice& device) {
    const std::lock_guard guard{mutex_};
    const std::uint64_t last = base + size - 1;
    const auto next = std::ranges::lower_bound(*map_, base, {}, &Entry::base);
    const bool overlaps_next = next != map_->end() && next->base <= last;
    const bool overlaps_previous = next != map_->begin() && std::prev(next)->last >= base;
    if (size == 0 || last < base || overlaps_next || overlaps_previous)
        return std::unexpected(
            Error{ErrorKind::Config, cat("region at ", Hex{base}, " of ", Hex{size},
                                         " bytes is empty, wraps or overlaps another")});

    Map changed;
    changed.reserve(map_->size() + 1);
    changed.assign(map_->begin(), next);
    changed.push_back({base, last, &device});
    changed.insert(changed.end(), next, map_->end());
    publish(std::make_shared<const Map>(std::move(changed)));
    return {};
}

void Bus::unmap(std::uint64_t base) noexcept {
    const std::lock_guard guard{mutex_};
    auto changed = *map_;
    if (std::erase_if(changed, [base](const Entry& entry) { return entry.base == base; }) > 0)
        publish(std::make_shared<const Map>(std::move(changed)));
}

void Bus::publish(std::shared_ptr<const Map> map) noexcept {
    map_ = std::move(map);
    version_.fetch_add(1, std::memory_order_release);
}

void BusReader::refresh() noexcept {
    const std::lock_guard guard{bus_.mutex_};
    map_ = bus_.map_;
    version_ = bus_.version_.load(std::memory_order_relaxed);
}

BusReader::Hit BusReader::find(std::uint64_t at, std::size_t size) noexcept {
    if (version_ != bus_.version_.load(std::memory_order_acquire)) [[unlikely]]
        refresh();
    if (size > 8 || !std::has_single_bit(size))
        return {};
    auto entry = std::ranges::upper_bound(*map_, at, {}, &Bus::Entry::base);
    if (entry == map_->begin())
        return {};
    --entry;
    if (at > entry->last || entry->last - at < size - 1)
        return {};
    return {entry->device, {.offset = at - entry->base, .size = static_cast<AccessSize>(size)}};
}

void BusReader::read(std::uint64_t at, std::span<std::byte> data) noexcept {
    const auto [device, access] = find(at, data.size());
    if (!device) {
        std::ranges::fill(data, std::byte{0xff});
        return;
    }
    std::uint64_t value = 0;
    {
        const std::lock_guard guard{device->lock()};
        value = device->read(access);
    }
    std::memcpy(data.data(), &value, data.size());
}

void BusReader::write(std::uint64_t at, std::span<const std::byte> data) noexcept {
    const auto [device, access] = find(at, data.size());
    if (!device)
        return;
    std::uint64_t value = 0;
    std::memcpy(&value, data.data(), data.size());
    {
        const std::lock_guard guard{device->lock()};
        device->write(access, value);
    }
    device->after_write();
}

}  // namespace vmm
