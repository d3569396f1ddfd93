#include "machine/last_output.hpp"

#include <thread>

namespace vmm::machine {
namespace {

// A turn for one side; true if no more is on its way to a reader.
bool is_out(const LastOutput& side) {
    if (!side.backend.has_reader())
        return true;
    return side.backend.push() && (!side.device_has_more || !side.device_has_more());
}

bool all_out(std::span<const LastOutput> sides) {
    bool all = true;
    for (const LastOutput& side : sides)
        all = is_out(side) && all;
    return all;
}

}  // namespace

void let_out(std::span<const LastOutput> sides, std::chrono::milliseconds at_most) {
    const auto end = std::chrono::steady_clock::now() + at_most;
    while (!all_out(sides) && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
}

}  // namespace vmm::machine
