// SPDX-License-Identifier: Apache-2.0
#include "machine/last_output.hpp"

#include <cerrno>
#include <cstring>
#include <thread>

#include "vmm/text.hpp"

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

std::string reason(int error) {
    return error == EPIPE ? "the reader has gone" : ::strerrordesc_np(error);
}

}  // namespace

void let_out(std::span<const LastOutput> sides, std::chrono::milliseconds at_most) {
    const auto end = std::chrono::steady_clock::now() + at_most;
    while (!all_out(sides) && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
}

std::vector<std::string> drop_rest(std::span<const LastOutput> sides) {
    std::vector<std::string> said;
    const auto say = [&](std::uint64_t bytes, const std::string& name, const std::string& why) {
        if (bytes > 0)
            said.push_back(cat(bytes, " bytes of output of the ", name, " were lost: ", why));
    };
    for (const LastOutput& side : sides) {
        const auto kept_back = side.drop_device ? side.drop_device() : 0;
        const auto lost = side.backend.drain(std::chrono::milliseconds{0});
        say(lost.unread + kept_back, side.name, "nobody read them");
        say(lost.unwritten, side.name, reason(lost.error));
    }
    return said;
}

}  // namespace vmm::machine
