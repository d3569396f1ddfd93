// SPDX-License-Identifier: Apache-2.0
#include "pci/config_space.hpp"

#include <algorithm>
#include <string>

#include "vmm/assert.hpp"
#include "vmm/text.hpp"

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

// A byte for each that has writable bits. Which these are, the function's make decides, and their
// number is compared.

void ConfigSpace::save(StateWriter& to) const {
    const auto count = std::ranges::count_if(bytes_, &Byte::writable);
    to.put(static_cast<std::uint16_t>(count));
    for (const Byte& byte : bytes_)
        if (byte.writable != 0)
            to.put(static_cast<std::uint8_t>(byte.value & byte.writable));
}

ConfigSpace ConfigSpace::with_state(StateReader& from) const {
    ConfigSpace copy = *this;
    const auto count = std::ranges::count_if(bytes_, &Byte::writable);
    from.require(from.get<std::uint16_t>("number of writable bytes") == count,
                 "number of writable bytes", "is not that of this function");
    for (std::size_t i = 0; i < copy.bytes_.size() && !from.failed(); ++i) {
        Byte& byte = copy.bytes_[i];
        if (byte.writable == 0)
            continue;
        const std::string name = cat("configuration byte ", Hex{i});
        const auto value = from.get<std::uint8_t>(name);
        from.require((value & ~byte.writable) == 0, name, "has bits that a guest cannot write");
        byte.value = static_cast<std::uint8_t>((byte.value & ~byte.writable) | value);
    }
    return copy;
}

}  // namespace vmm::pci
