// SPDX-License-Identifier: Apache-2.0
#include "pci/rom_image.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "vmm/assert.hpp"

namespace vmm::pci {

RomImage::RomImage(std::vector<std::byte> bytes) : bytes_{std::move(bytes)} {
    VMM_ASSERT(bytes_.size() <= kLargest);
}

std::uint64_t RomImage::bar_size() const noexcept {
    return std::bit_ceil(std::max<std::uint64_t>(bytes_.size(), kSmallest));
}

std::uint64_t RomImage::read(Access access) noexcept {
    std::uint64_t value = kAllOnes;
    for (unsigned i = 0; i < static_cast<unsigned>(access.size); ++i) {
        if (access.offset + i >= bytes_.size())
            break;
        const unsigned shift = 8 * i;
        value &= ~(std::uint64_t{0xff} << shift);
        value |= std::to_integer<std::uint64_t>(bytes_[access.offset + i]) << shift;
    }
    return value;
}

}  // namespace vmm::pci
