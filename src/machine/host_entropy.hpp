// SPDX-License-Identifier: Apache-2.0
// Chance as the host has it: getrandom(2).
#pragma once

#include <sys/random.h>

#include <cerrno>

#include "vmm/entropy_source.hpp"

namespace vmm::machine {

class HostEntropy final : public EntropySource {
public:
    void fill(std::span<std::byte> out) noexcept override {
        while (!out.empty()) {
            const auto got = ::getrandom(out.data(), out.size(), 0);
            if (got < 0 && errno != EINTR)
                __builtin_trap();  // nothing random to be had: better no guest than a guessable one
            if (got > 0)
                out = out.subspan(static_cast<std::size_t>(got));
        }
    }
};

}  // namespace vmm::machine
