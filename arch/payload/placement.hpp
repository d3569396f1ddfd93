// SPDX-License-Identifier: Apache-2.0
// Who lies where in RAM while a machine is being loaded: no two things overlap, all are RAM.
//
// Units: bytes. Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error.hpp"
#include "vmm/gpa.hpp"

namespace vmm {

/// "kernel (0x1000000 to 0x4200000)"
struct NamedRange {
    GpaRange range;
    std::string name;
};

class Placement {
public:
    static constexpr std::uint64_t kPageSize = 4096;

    /// Ranges of RAM, at least one, the one to be filled first at the start.
    explicit Placement(std::span<const GpaRange> ram) : ram_{ram.begin(), ram.end()} {}

    /// The error names what it would overlap, or how much memory there is.
    Result<> take(GpaRange range, std::string_view name);

    /// RAM that nobody has taken.
    bool is_free(GpaRange range) const;

    /// The highest place of `size` bytes, page aligned, that ends at or below `limit`, in the first
    /// range that has one.
    std::optional<Gpa> highest_free(std::uint64_t size, std::uint64_t limit) const;

    /// The lowest multiple of `alignment` from `from` upwards with `size` bytes of free RAM in the
    /// first range.
    std::optional<Gpa> lowest_free(std::uint64_t size, std::uint64_t alignment, Gpa from) const;

    std::uint64_t ram_size() const;  ///< bytes, of all ranges
    std::uint64_t first_end() const { return end_of(ram_.front()); }

private:
    std::optional<Gpa> highest_in(GpaRange ram, std::uint64_t size, std::uint64_t limit) const;
    bool is_ram(GpaRange range) const;
    const NamedRange* overlapping(GpaRange range) const;

    std::vector<GpaRange> ram_;
    std::vector<NamedRange> taken_;
};

}  // namespace vmm
