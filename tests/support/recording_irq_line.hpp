// SPDX-License-Identifier: Apache-2.0
// An interrupt pin that remembers its level and each change of it.
#pragma once

#include <vector>

#include "vmm/irq_line.hpp"

namespace vmm::test {

struct RecordingIrqLine final : IrqLine {
    bool high = false;
    std::vector<bool> changes;  ///< calls that repeat the level leave no mark

    void set(bool level) noexcept override {
        if (level != high)
            changes.push_back(level);
        high = level;
    }
};

}  // namespace vmm::test
