// SPDX-License-Identifier: Apache-2.0
// Listens to what the guest writes on its console, for the line in which its kernel says why it
// stopped: when the machine ends, the user sees that line again beside our own message.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "vmm/byte_channel.hpp"

namespace vmm::machine {

/// Stands between a device and its ByteSink. Fixed memory, a few instructions a byte.
/// Threads: write() with the device's lock held, last_panic() and forget() when neither a vCPU nor
/// the device's own thread runs.
class ConsoleWatch final : public ByteSink {
public:
    explicit ConsoleWatch(ByteSink& next) : next_{next} {}

    std::size_t write(std::span<const std::byte> bytes) noexcept override;
    void count_lost(std::size_t bytes) noexcept override { next_.count_lost(bytes); }
    void resume_input() noexcept override { next_.resume_input(); }

    /// The last such line, without its time stamp; empty if there was none. Printable ASCII only:
    /// it is shown on the user's terminal, and the guest chose the bytes.
    std::string last_panic() const { return std::string{panic_.view()}; }
    void forget() noexcept { panic_.size = 0; }

private:
    struct Line {
        std::array<char, 240> text{};  // the rest of a longer line is not kept
        std::size_t size = 0;
        std::string_view view() const { return {text.data(), size}; }
    };
    void add(char character) noexcept;
    void end_of_line() noexcept;

    ByteSink& next_;
    Line line_;
    Line panic_;
};

}  // namespace vmm::machine
