// SPDX-License-Identifier: Apache-2.0
#include "config/kinds/channel.hpp"

#include <string>
#include <vector>

#include "config/kinds/kinds.hpp"
#include "config/kinds/rules.hpp"
#include "config/suggest.hpp"
#include "vmm/named_descriptor.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

Result<> check_channel(const Channel& channel) {
    const auto& [place, noun, typed, mode, file, socket, link] = channel;
    if (mode == ConsoleMode::File && file.empty())
        return bad(cat(place.text(), ": the mode is file, but no file is named"),
                   cat("Name one (", typed, "file=PATH), or give another mode."));
    if (mode == ConsoleMode::Socket && socket.empty())
        return bad(cat(place.text(), ": the mode is socket, but no socket is named"),
                   cat("Name one (", typed, "socket=PATH), or give another mode."));
    if (mode != ConsoleMode::File && !file.empty())
        return bad(cat(place.text(), ": a file is named, but the mode is not file"),
                   cat("Leave the mode out (", typed, "file=PATH), or the file."));
    if (mode != ConsoleMode::Socket && !socket.empty())
        return bad(cat(place.text(), ": a socket is named, but the mode is not socket"),
                   cat("Leave the mode out (", typed, "socket=PATH), or the socket."));
    if (mode != ConsoleMode::Pty && !link.empty())
        return bad(cat(place.text(), ": a link is named, but the mode is not pty"),
                   cat("Leave the mode out (", typed, "link=PATH), or the link."));
    constexpr std::size_t kSocketPathMax = 107;  // sockaddr_un::sun_path less its final zero
    if (socket.size() > kSocketPathMax)
        return bad(cat(place.text(), ": the path of the socket has ", socket.size(), " bytes"),
                   cat("Use one of at most ", kSocketPathMax, " bytes."));
    return {};
}

/// Two channels that would be in each other's way. Devices such as /dev/null take all that comes.
Result<> check_pair(const Channel& a, const Channel& b) {
    if (a.mode == ConsoleMode::Tty && b.mode == ConsoleMode::Tty)
        return bad(
            cat("both ", a.name(), " and ", b.name(), " want the terminal"),
            a.place.key == "serial"
                ? "Switch the serial port off (--serial off), or give one of them another place."
                : "Give one of them another place.");
    if (!a.socket.empty() && a.socket == b.socket)
        return bad(
            cat("both ", a.name(), " and ", b.name(), " want the socket ", in_quotes(a.socket)),
            "Give each a socket of its own.");
    if (!a.link.empty() && a.link == b.link)
        return bad(cat("both ", a.name(), " and ", b.name(), " want the link ", in_quotes(a.link)),
                   "Give each a link of its own.");
    if (!a.file.empty() && a.file == b.file && !a.file.starts_with("/dev/") &&
        !named_descriptor(a.file))
        return bad(cat("both ", a.name(), " and ", b.name(), " want the file ", in_quotes(a.file)),
                   "Give each a file of its own.");
    return {};
}

}  // namespace

std::vector<Channel> channels_of(const VmConfig& config) {
    std::vector<Channel> channels;
    channels.reserve(2 + config.console_ports.size());
    for (const Key& key : device_keys())
        if (key.device->has_channels())
            key.device->add_channels(config, channels);
    return channels;
}

Result<> check_channels(const VmConfig& config) {
    const auto channels = channels_of(config);
    for (const Channel& channel : channels)
        VMM_TRY(check_channel(channel));
    for (const Key& key : device_keys())
        if (key.device->has_channels() && key.device->check != nullptr)
            VMM_TRY(key.device->check(config));
    for (std::size_t i = 0; i < channels.size(); ++i)
        for (std::size_t k = 0; k < i; ++k)
            VMM_TRY(check_pair(channels[k], channels[i]));
    return {};
}

}  // namespace vmm::config
