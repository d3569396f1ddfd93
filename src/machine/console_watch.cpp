// SPDX-License-Identifier: Apache-2.0
#include "machine/console_watch.hpp"

#include <algorithm>

#include "vmm/printable.hpp"

namespace vmm::machine {
namespace {

constexpr std::string_view kPanic = "Kernel panic - ";
constexpr std::string_view kPanicEnd = "---[ end ";  // the same line once more, by the same printk

}  // namespace

std::size_t ConsoleWatch::write(std::span<const std::byte> bytes) noexcept {
    const auto taken = next_.write(bytes);
    for (const auto byte : bytes.first(taken))
        add(static_cast<char>(byte));
    return taken;
}

void ConsoleWatch::add(char character) noexcept {
    if (character == '\n')
        end_of_line();
    else if (line_.size < line_.text.size() && is_printable(character))
        line_.text[line_.size++] = character;
}

void ConsoleWatch::end_of_line() noexcept {
    const auto at = line_.view().find(kPanic);
    if (at != std::string_view::npos && line_.view().find(kPanicEnd) == std::string_view::npos) {
        const auto text = line_.view().substr(at);
        std::ranges::copy(text, panic_.text.begin());
        panic_.size = text.size();
    }
    line_.size = 0;
}

}  // namespace vmm::machine
