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

/// The host's side of a serial port, a console or a port.
struct Channel {
    std::string noun;       ///< "the console"
    std::string who;        ///< as the start of a message
    std::string_view flag;  ///< what the user types in front of file=PATH
    ConsoleMode mode = ConsoleMode::Off;
    const std::string& file;
    const std::string& socket;
    const std::string& link;
};

std::vector<Channel> channels_of(const VmConfig& config) {
    const auto& serial = config.serial;
    const auto& console = config.console;
    std::vector<Channel> channels;
    channels.push_back({"the serial port", "serial (--serial)", "--serial ", serial.mode,
                        serial.file, serial.socket, serial.link});
    channels.push_back({"the console", "console (--console)", "--console ", console.mode,
                        console.file, console.socket, console.link});
    for (std::size_t i = 0; i < config.console_ports.size(); ++i) {
        const auto& port = config.console_ports[i];
        const auto path = cat("console_ports[", i, "]");
        channels.push_back({path, cat(path, " (--console-port)"), "--console-port name=NAME,",
                            port.mode, port.file, port.socket, port.link});
    }
    return channels;
}

Result<> check_channel(const Channel& channel) {
    const auto& [noun, who, flag, mode, file, socket, link] = channel;
    if (mode == ConsoleMode::File && file.empty())
        return bad(cat(who, ": the mode is file, but no file is named"),
                   cat("Name one (", flag, "file=PATH), or give another mode."));
    if (mode == ConsoleMode::Socket && socket.empty())
        return bad(cat(who, ": the mode is socket, but no socket is named"),
                   cat("Name one (", flag, "socket=PATH), or give another mode."));
    if (mode != ConsoleMode::File && !file.empty())
        return bad(cat(who, ": a file is named, but the mode is not file"),
                   cat("Leave the mode out (", flag, "file=PATH), or the file."));
    if (mode != ConsoleMode::Socket && !socket.empty())
        return bad(cat(who, ": a socket is named, but the mode is not socket"),
                   cat("Leave the mode out (", flag, "socket=PATH), or the socket."));
    if (mode != ConsoleMode::Pty && !link.empty())
        return bad(cat(who, ": a link is named, but the mode is not pty"),
                   cat("Leave the mode out (", flag, "link=PATH), or the link."));
    constexpr std::size_t kSocketPathMax = 107;  // sockaddr_un::sun_path less its final zero
    if (socket.size() > kSocketPathMax)
        return bad(cat(who, ": the path of the socket has ", socket.size(), " bytes"),
                   cat("Use one of at most ", kSocketPathMax, " bytes."));
    return {};
}

/// Two channels that would be in each other's way. Devices such as /dev/null take all that comes.
Result<> check_pair(const Channel& a, const Channel& b) {
    if (a.mode == ConsoleMode::Tty && b.mode == ConsoleMode::Tty)
        return bad(
            cat("both ", a.noun, " and ", b.noun, " want the terminal"),
            a.noun == "the serial port"
                ? "Switch the serial port off (--serial off), or give one of them another place."
                : "Give one of them another place.");
    if (!a.socket.empty() && a.socket == b.socket)
        return bad(cat("both ", a.noun, " and ", b.noun, " want the socket ", in_quotes(a.socket)),
                   "Give each a socket of its own.");
    if (!a.link.empty() && a.link == b.link)
        return bad(cat("both ", a.noun, " and ", b.noun, " want the link ", in_quotes(a.link)),
                   "Give each a link of its own.");
    if (!a.file.empty() && a.file == b.file && !a.file.starts_with("/dev/") &&
        !named_descriptor(a.file))
        return bad(cat("both ", a.noun, " and ", b.noun, " want the file ", in_quotes(a.file)),
                   "Give each a file of its own.");
    return {};
}

}  // namespace

Result<> check_consoles(const VmConfig& config) {
    const auto channels = channels_of(config);
    for (const Channel& channel : channels)
        VMM_TRY(check_channel(channel));
    VMM_TRY(check_console_ports(config.console_ports));
    for (std::size_t i = 0; i < channels.size(); ++i)
        for (std::size_t k = 0; k < i; ++k)
            VMM_TRY(check_pair(channels[k], channels[i]));
    return {};
}

}  // namespace vmm::config
