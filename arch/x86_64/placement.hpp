// Who lies where in RAM while a machine is being loaded: no two things overlap, all are RAM.
//
// Units: bytes. Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error.hpp"
#include "vmm/gpa.hpp"
#include "x86_64/layout.hpp"

namespace vmm::x86_64 {

/// "kernel (0x1000000 to 0x4200000)"
struct NamedRange {
    GpaRange range;
    std::string name;
};

class Placement {
public:
    explicit Placement(std::uint64_t ram_size) : ram_size_{ram_size}, ram_{ram_size} {}

    /// The error names what it would overlap, or how much memory there is.
    Result<> take(GpaRange range, std::string_view name);

    /// RAM that nobody has taken.
    bool is_free(GpaRange range) const;

    /// The highest place of `size` bytes, page aligned, that ends at or below `limit`: in RAM below
    /// 4 GiB if there is one, else above.
    std::optional<Gpa> highest_free(std::uint64_t size, std::uint64_t limit) const;

    /// The lowest multiple of `alignment` from `from` upwards with `size` bytes of free low RAM.
    std::optional<Gpa> lowest_free(std::uint64_t size, std::uint64_t alignment, Gpa from) const;

    std::uint64_t ram_size() const { return ram_size_; }
    std::uint64_t low_ram_end() const { return ram_.low().size; }

private:
    std::optional<Gpa> highest_in(GpaRange ram, std::uint64_t size, std::uint64_t limit) const;
    bool is_ram(GpaRange range) const;
    const NamedRange* overlapping(GpaRange range) const;

    std::uint64_t ram_size_;
    RamRanges ram_;
    std::vector<NamedRange> taken_;
};

}  // namespace vmm::x86_64
