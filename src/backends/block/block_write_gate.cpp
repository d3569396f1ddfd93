// SPDX-License-Identifier: Apache-2.0
#include "backends/block/block_write_gate.hpp"

#include <algorithm>

#include "vmm/assert.hpp"

namespace vmm {
namespace {

bool changes_the_medium(const BlockRequest& request) noexcept {
    return request.kind != BlockRequest::Kind::Read && request.kind != BlockRequest::Kind::Flush;
}

}  // namespace

BlockWriteGate::BlockWriteGate(std::size_t unit, unsigned depth) : unit_{unit} {
    started_.reserve(depth);
}

BlockWriteGate::Range BlockWriteGate::range_of(const BlockRequest& request) const noexcept {
    const std::uint64_t end = request.offset + request.length;
    return {.request = &request,
            .first = request.offset / unit_,
            .last = (end - 1) / unit_,
            .partial = request.offset % unit_ != 0 || end % unit_ != 0};
}

bool BlockWriteGate::clashes(const Range& range) const noexcept {
    if (partial_ == 0 && !range.partial)
        return false;
    return std::ranges::any_of(started_, [&](const Range& other) {
        return (range.partial || other.partial) && range.first <= other.last &&
               other.first <= range.last;
    });
}

void BlockWriteGate::start(const Range& range) noexcept {
    VMM_ASSERT(started_.size() < started_.capacity());
    started_.push_back(range);
    partial_ += range.partial ? 1 : 0;
}

bool BlockWriteGate::enter(BlockRequest& request) noexcept {
    if (!changes_the_medium(request) || request.length == 0)
        return true;
    const Range range = range_of(request);
    if (!waiting_.empty() || clashes(range)) {
        waiting_.push(request);
        return false;
    }
    start(range);
    return true;
}

void BlockWriteGate::leave(const BlockRequest& request) noexcept {
    if (!changes_the_medium(request))
        return;
    const auto found = std::ranges::find(started_, &request, &Range::request);
    if (found == started_.end())
        return;
    partial_ -= found->partial ? 1 : 0;
    *found = started_.back();
    started_.pop_back();
}

BlockRequest* BlockWriteGate::next() noexcept {
    BlockRequest* const first = waiting_.front();
    if (first == nullptr)
        return nullptr;
    const Range range = range_of(*first);
    if (clashes(range))
        return nullptr;
    start(range);
    return waiting_.pop();
}

}  // namespace vmm
