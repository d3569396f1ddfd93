// SPDX-License-Identifier: Apache-2.0
// Chance as devices and tables may ask for it.
#pragma once

#include <cstddef>
#include <span>

namespace vmm {

/// A port: a leaf call that does not block once the host has booted. Any thread.
class EntropySource {
public:
    virtual ~EntropySource() = default;

    /// Fills all of `out`.
    virtual void fill(std::span<std::byte> out) noexcept = 0;
};

}  // namespace vmm
