// SPDX-License-Identifier: Apache-2.0
// Chance that a test can foresee: bytes 1, 2, 3 ... 255, 1, 2 ... as they are asked for.
//
// Threads: one at a time; the counts may be read by others.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/entropy_source.hpp"

namespace vmm::test {

struct FakeEntropy final : EntropySource {
    std::atomic<std::uint64_t> bytes{0};  ///< given so far
    std::atomic<bool> held{false};        ///< fill() waits while this is true; then notify
    std::atomic<bool> asked{false};       ///< fill() was called

    void fill(std::span<std::byte> out) noexcept override {
        asked = true;
        held.wait(true);
        for (std::byte& byte : out) {
            byte = next_;
            next_ = next_ == std::byte{255} ? std::byte{1}
                                            : static_cast<std::byte>(static_cast<int>(next_) + 1);
        }
        bytes += out.size();
    }
    void release() {
        held = false;
        held.notify_all();
    }

private:
    std::byte next_{1};
};

}  // namespace vmm::test
