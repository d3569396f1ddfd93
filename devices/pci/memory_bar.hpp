// SPDX-License-Identifier: Apache-2.0
// Answers for memory in a BAR where the hypervisor does not: while it is being mapped, and where it
// cannot be.
//
// Threads: as IoDevice. The guest, and other processes, use the same bytes meanwhile.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pci/endpoint.hpp"
#include "vmm/io_device.hpp"

namespace vmm::pci {

/// Around the pieces there is nothing: all ones.
class MemoryBar final : public IoDevice {
public:
    explicit MemoryBar(std::span<const BarMemory> pieces) : pieces_{pieces.begin(), pieces.end()} {}

    std::uint64_t read(Access access) noexcept override;
    void write(Access access, std::uint64_t value) noexcept override;

private:
    std::byte* find(Access access) const noexcept;

    std::vector<BarMemory> pieces_;
};

}  // namespace vmm::pci
