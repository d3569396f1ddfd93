// SPDX-License-Identifier: Apache-2.0
// A set of pages, kept as stretches that neither overlap nor touch.
//
// Units: bytes. A guest decides how many stretches there are: at most one for every second page,
// some 48 bytes each. Operations take time logarithmic in their number, and linear in those that
// they meet. Threads: the owner's.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "vmm/gpa.hpp"

namespace vmm {

/// No range that is given to it reaches 2^64.
class PageRanges {
public:
    void add(GpaRange range);
    void remove(GpaRange range);
    bool empty() const { return ends_.empty(); }

    /// The parts of `range` that are in the set, ascending.
    std::vector<GpaRange> within(GpaRange range) const;
    /// Those that are not.
    std::vector<GpaRange> missing(GpaRange range) const;

private:
    std::map<std::uint64_t, std::uint64_t> ends_;  ///< of stretches, by their beginnings
};

}  // namespace vmm
