// SPDX-License-Identifier: Apache-2.0
// Device memory of a guest, for tests: what is where, and no two pieces at one place.
//
// Aborts on what the real one would refuse or ignore but its user promises not to ask for.
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "vmm/memory_layout.hpp"

namespace vmm::test {

class FakeMemoryLayout final : public MemoryLayout {
public:
    Result<> subscribe(MemoryObserver&) override { return {}; }
    std::span<const MemoryRegion> regions() const noexcept override { return {}; }

    Result<> add(const MemoryRegion& region) override {
        ++additions;
        if (room == 0)
            return std::unexpected(Error{ErrorKind::Os, "no slot is free"});
        --room;
        for (const auto& other : there)
            if (other.range.contains(region.range.first, 1) ||
                region.range.contains(other.range.first, 1))
                std::abort();
        there.push_back(region);
        return {};
    }
    void remove(const MemoryRegion& region) noexcept override {
        const auto same = [&](const MemoryRegion& other) {
            return other.range.first == region.range.first && other.host == region.host &&
                   other.range.size == region.range.size;
        };
        if (std::erase_if(there, same) != 1)
            std::abort();
        ++room;
    }

    Result<> set_privacy(GpaRange, Privacy) override { std::abort(); }

    /// The host's bytes that the guest finds at `at`; null: no memory.
    std::byte* find(std::uint64_t at) const {
        for (const auto& region : there)
            if (region.range.contains(Gpa{at}, 1))
                return region.host + (at - region.range.first.value());
        return nullptr;
    }

    std::vector<MemoryRegion> there;
    int room = 1000;  ///< how many more it takes
    int additions = 0;
};

}  // namespace vmm::test
