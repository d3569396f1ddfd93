// SPDX-License-Identifier: Apache-2.0
// Which writes of a disk may be under way together, where the host writes larger units than the
// guest's blocks.
//
// A write of a part of a unit reads the rest of the unit first and writes it back with the part
// (read-modify-write). Whatever else is written into the same unit in between would be lost. So
// such a write and any other one that touches the same unit take turns; all others, and all reads,
// go on side by side. What has to wait does so in order, and so does what comes after it.
// Costs: nothing but a comparison for each write when no part of a unit is being written.
// Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/block_backend.hpp"

namespace vmm {

class BlockWriteGate {
public:
    /// `unit` in bytes; at most `depth` requests are under way and waiting together.
    BlockWriteGate(std::size_t unit, unsigned depth);

    /// True if it may start now; else it waits until next() gives it. Reads and flushes always may.
    [[nodiscard]] bool enter(BlockRequest& request) noexcept;
    /// One that had started is done.
    void leave(const BlockRequest& request) noexcept;
    /// One that waited, and has started now; null if there is none.
    BlockRequest* next() noexcept;

private:
    /// The units that a request touches.
    struct Range {
        const BlockRequest* request = nullptr;
        std::uint64_t first = 0;
        std::uint64_t last = 0;
        bool partial = false;
    };

    Range range_of(const BlockRequest& request) const noexcept;
    bool clashes(const Range& range) const noexcept;
    void start(const Range& range) noexcept;

    std::size_t unit_;
    std::vector<Range> started_;
    unsigned partial_ = 0;  // of those
    BlockRequestList waiting_;
};

}  // namespace vmm
