// SPDX-License-Identifier: Apache-2.0
// The bytes of an expansion ROM, for pci::Function::add_rom().
//
// Spec: PCI Local Bus 3.0, 6.3. Nothing here looks into the image: firmware of the guest does.
// Threads: any; it never changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/io_device.hpp"

namespace vmm::pci {

/// Reads of any width and alignment give its bytes, and ones where it has none; writes are lost.
class RomImage final : public IoDevice {
public:
    static constexpr std::uint64_t kSmallest = 2 << 10;  // bytes of address space
    static constexpr std::uint64_t kLargest = 16 << 20;

    /// At most kLargest bytes.
    explicit RomImage(std::vector<std::byte> bytes);

    /// How much address space it takes: a power of two.
    std::uint64_t bar_size() const noexcept;

    std::uint64_t read(Access access) noexcept override;
    void write(Access, std::uint64_t) noexcept override {}

private:
    std::vector<std::byte> bytes_;
};

}  // namespace vmm::pci
