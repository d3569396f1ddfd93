// SPDX-License-Identifier: Apache-2.0
#include "pci/config_space.hpp"

#include "vmm/assert.hpp"

namespace vmm::pci {

std::uint32_t ConfigSpace::read(unsigned offset, unsigned size) const noexcept {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < size; ++i)
        value |= std::uint32_t{bytes_[offset + i].value} << (8 * i);
    return value;
}

void ConfigSpace::write(unsigned offset, unsigned size, std::uint32_t value) noexcept {
    for (unsigned i = 0; i < size; ++i) {
        Byte& byte = bytes_[offset + i];
        const auto to = static_cast<std::uint8_t>(value >> (8 * i));
        byte.value =
            static_cast<std::uint8_t>((byte.value & ~byte.writable) | (to & byte.writable));
    }
}

void ConfigSpace::reset() noexcept {
    for (Byte& byte : bytes_)
        byte.value = static_cast<std::uint8_t>((byte.value & ~byte.writable) |
                                               (byte.power_on & byte.writable));
}

void ConfigSpace::define(unsigned offset, std::span<const std::uint8_t> values,
                         std::span<const std::uint8_t> writable) noexcept {
    VMM_ASSERT(writable.size() <= values.size() && offset + values.size() <= bytes_.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        Byte& byte = bytes_[offset + i];
        byte.value = byte.power_on = values[i];
        byte.writable = i < writable.size() ? writable[i] : std::uint8_t{0};
    }
}

}  // namespace vmm::pci
