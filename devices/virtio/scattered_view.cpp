// SPDX-License-Identifier: Apache-2.0
#include "virtio/scattered_view.hpp"

#include <sys/uio.h>

#include <bit>
#include <optional>
#include <span>

namespace vmm::virtio {

ScatteredView::ScatteredView(const GuestMemory& memory, Gpa at, std::uint64_t length,
                             Transfer transfer) noexcept {
    constexpr std::size_t kAlignment = 16;
    if (length == 0 || length > kMaxSize)
        return;
    std::array<iovec, kMostPages> pieces{};
    const auto count = memory.host_iovecs(at, length, transfer, pieces);
    if (!count)
        return;
    lead_ = at.value() % kPage;
    std::size_t place = lead_;  // of the piece, from the beginning of the first page
    for (const auto& piece : std::span{pieces}.first(*count)) {
        const auto page = std::bit_cast<std::uintptr_t>(piece.iov_base) - place % kPage;
        const bool cut_between_pages = place == lead_ || place % kPage == 0;
        if (!cut_between_pages || page % kAlignment != 0)
            return;
        for (std::size_t offset = 0; offset < place % kPage + piece.iov_len; offset += kPage)
            pages_[place / kPage + offset / kPage] = page + offset;
        place += piece.iov_len;
    }
    size_ = length;
}

}  // namespace vmm::virtio
