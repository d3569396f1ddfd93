// SPDX-License-Identifier: Apache-2.0
// Bytes of a function's configuration space, and which bits of them the guest may write.
//
// Spec: PCI Local Bus 3.0, 6.1; PCI Express 6.0, 7.2. Little endian. 256 bytes until something is
// put into the extended space. What the registers mean is pci/function.hpp's.
// Threads: as Endpoint, with the function's lock held. Accesses that are not the guest's lie
// inside.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pci/endpoint.hpp"
#include "vmm/stateful.hpp"

namespace vmm::pci {

class ConfigSpace {
public:
    ConfigSpace() : bytes_(kConventionalSize) {}

    /// From now on there are kConfigSize bytes.
    void extend() { bytes_.resize(kConfigSize); }

    // The guest's accesses.

    /// Whether there are bytes at `offset`.
    bool has(unsigned offset) const noexcept { return offset < bytes_.size(); }
    std::uint32_t read(unsigned offset, unsigned size) const noexcept;
    void write(unsigned offset, unsigned size, std::uint32_t value) noexcept;
    /// What the guest has written goes.
    void reset() noexcept;

    // The function's.

    template <std::unsigned_integral T>
    T get(unsigned offset) const noexcept {
        return static_cast<T>(read(offset, sizeof(T)));
    }
    template <std::unsigned_integral T>
    void put(unsigned offset, T value) noexcept {
        for (unsigned i = 0; i < sizeof(T); ++i)
            bytes_[offset + i].value = static_cast<std::uint8_t>(value >> (8 * i));
    }
    template <std::unsigned_integral T>
    void let_write(unsigned offset, T bits) noexcept {
        for (unsigned i = 0; i < sizeof(T); ++i)
            bytes_[offset + i].writable = static_cast<std::uint8_t>(bits >> (8 * i));
    }
    template <std::unsigned_integral T>
    T writable(unsigned offset) const noexcept {
        T bits = 0;
        for (unsigned i = 0; i < sizeof(T); ++i)
            bits = static_cast<T>(bits | T{bytes_[offset + i].writable} << (8 * i));
        return bits;
    }
    /// Registers as they are after power-on; `writable` may be shorter than `values`: the rest is
    /// read-only.
    void define(unsigned offset, std::span<const std::uint8_t> values,
                std::span<const std::uint8_t> writable = {}) noexcept;

    // State: what the guest has written.

    void save(StateWriter& to) const;
    /// A copy of this with what was saved in the place of what the guest has written here.
    ConfigSpace with_state(StateReader& from) const;

private:
    struct Byte {
        std::uint8_t value = 0;
        std::uint8_t writable = 0;
        std::uint8_t power_on = 0;  // of the writable bits
    };

    std::vector<Byte> bytes_;
};

}  // namespace vmm::pci
