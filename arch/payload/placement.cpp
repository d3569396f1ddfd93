// SPDX-License-Identifier: Apache-2.0
#include "payload/placement.hpp"

#include <algorithm>

#include "vmm/size_text.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

std::string span_text(GpaRange range) {
    return cat("(", Hex{range.first.value()}, " to ", Hex{end_of(range)}, ")");
}

bool overlap(GpaRange a, GpaRange b) {
    return a.first.value() < end_of(b) && b.first.value() < end_of(a);
}

}  // namespace

std::uint64_t Placement::ram_size() const {
    std::uint64_t size = 0;
    for (const GpaRange ram : ram_)
        size += ram.size;
    return size;
}

bool Placement::is_ram(GpaRange range) const {
    return std::ranges::any_of(ram_,
                               [&](GpaRange ram) { return ram.contains(range.first, range.size); });
}

const NamedRange* Placement::overlapping(GpaRange range) const {
    const auto found = std::ranges::find_if(
        taken_, [&](const NamedRange& other) { return overlap(other.range, range); });
    return found == taken_.end() ? nullptr : &*found;
}

Result<> Placement::take(GpaRange range, std::string_view name) {
    if (!is_ram(range))
        return std::unexpected(Error{
            ErrorKind::Config,
            cat(name, " ", span_text(range), " does not fit in memory of ", size_text(ram_size()))}
                                   .hint("Give the guest more memory with --memory"));
    if (const NamedRange* const other = overlapping(range))
        return std::unexpected(
            Error{ErrorKind::Config, cat(name, " ", span_text(range), " overlaps ", other->name,
                                         " ", span_text(other->range))});
    taken_.push_back({range, std::string{name}});
    return {};
}

bool Placement::is_free(GpaRange range) const {
    return is_ram(range) && overlapping(range) == nullptr;
}

std::optional<Gpa> Placement::highest_free(std::uint64_t size, std::uint64_t limit) const {
    for (const GpaRange ram : ram_)
        if (const auto found = highest_in(ram, size, limit))
            return found;
    return std::nullopt;
}

std::optional<Gpa> Placement::highest_in(GpaRange ram, std::uint64_t size,
                                         std::uint64_t limit) const {
    const std::uint64_t first = ram.first.value();
    std::uint64_t end = std::min(limit, end_of(ram));
    while (end >= first && end - first >= size) {
        const GpaRange candidate{Gpa{(end - size) / kPageSize * kPageSize}, size};
        const NamedRange* const other = overlapping(candidate);
        if (other == nullptr)
            return candidate.first;
        end = other->range.first.value();
    }
    return std::nullopt;
}

std::optional<Gpa> Placement::lowest_free(std::uint64_t size, std::uint64_t alignment,
                                          Gpa from) const {
    const auto aligned = [&](std::uint64_t at) {
        return (at + alignment - 1) / alignment * alignment;
    };
    std::uint64_t at = aligned(from.value());
    while (at < first_end() && size <= first_end() - at) {
        const NamedRange* const other = overlapping({Gpa{at}, size});
        if (other == nullptr)
            return Gpa{at};
        at = aligned(end_of(other->range));
    }
    return std::nullopt;
}

}  // namespace vmm
