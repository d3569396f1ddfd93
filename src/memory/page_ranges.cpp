// SPDX-License-Identifier: Apache-2.0
#include "memory/page_ranges.hpp"

#include <algorithm>
#include <iterator>

namespace vmm {
namespace {

GpaRange between(std::uint64_t from, std::uint64_t to) {
    return {Gpa{from}, to - from};
}

}  // namespace

void PageRanges::add(GpaRange range) {
    auto from = range.first.value();
    auto to = end_of(range);
    auto next = ends_.upper_bound(from);
    if (next != ends_.begin() && std::prev(next)->second >= from)
        --next;
    while (next != ends_.end() && next->first <= to) {
        from = std::min(from, next->first);
        to = std::max(to, next->second);
        next = ends_.erase(next);
    }
    ends_.emplace_hint(next, from, to);
}

void PageRanges::remove(GpaRange range) {
    const auto from = range.first.value();
    const auto to = end_of(range);
    auto next = ends_.upper_bound(from);
    if (next != ends_.begin())
        --next;
    while (next != ends_.end() && next->first < to) {
        const auto [first, end] = *next;
        if (end <= from) {
            ++next;
            continue;
        }
        next = ends_.erase(next);
        if (first < from)
            ends_.emplace(first, from);
        if (end > to)
            ends_.emplace(to, end);
    }
}

std::vector<GpaRange> PageRanges::within(GpaRange range) const {
    std::vector<GpaRange> parts;
    const auto to = end_of(range);
    auto next = ends_.upper_bound(range.first.value());
    if (next != ends_.begin())
        --next;
    for (; next != ends_.end() && next->first < to; ++next) {
        const auto from = std::max(next->first, range.first.value());
        const auto end = std::min(next->second, to);
        if (from < end)
            parts.push_back(between(from, end));
    }
    return parts;
}

std::vector<GpaRange> PageRanges::missing(GpaRange range) const {
    std::vector<GpaRange> parts;
    auto from = range.first.value();
    for (const auto& part : within(range)) {
        if (from < part.first.value())
            parts.push_back(between(from, part.first.value()));
        from = end_of(part);
    }
    if (from < end_of(range))
        parts.push_back(between(from, end_of(range)));
    return parts;
}

}  // namespace vmm
