// SPDX-License-Identifier: Apache-2.0
// Ports of the virtio console that are not terminals: together they are one device.
#include <algorithm>
#include <array>
#include <string>

#include "config/kinds/channel.hpp"
#include "config/kinds/kinds.hpp"
#include "config/kinds/rules.hpp"
#include "config/limits.hpp"
#include "config/suggest.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

constexpr auto kKeys = std::array{
    key<&ConsolePortConfig::mode>({.name = "mode",
                                   .help = "Where the port's other end is; must be given, by "
                                           "itself, file, socket or link",
                                   .choices = kModeNames,
                                   .required = true,
                                   .bare_choice = true}),
    key<&ConsolePortConfig::name>(
        {.name = "name",
         .help = "Name that the guest sees, as in /dev/virtio-ports/NAME; must be given",
         .most = kMaxPortName,
         .required = true}),
    file_key<&ConsolePortConfig::file>(),
    socket_key<&ConsolePortConfig::socket>(),
    link_key<&ConsolePortConfig::link>(),
};

Result<> check_port_name(const std::string& name, const std::string& path) {
    if (name.empty())
        return bad(
            cat(path, " (--console-port) has no name"),
            "Add its name, by which the guest finds it: name=NAME is /dev/virtio-ports/NAME.");
    const auto fits = [](char c) { return c > ' ' && c <= '~' && c != '/'; };
    if (!std::ranges::all_of(name, fits) || name == "." || name == "..")
        return bad(cat(path, ".name: ", in_quotes(name), " cannot be the name of a device"),
                   "Use letters, digits and signs other than '/', and no blanks.");
    return {};
}

Result<> check(const VmConfig& config) {
    const auto& ports = config.console_ports;
    if (ports.size() > kMaxConsolePorts)
        return bad(cat("console_ports (--console-port): there are ", ports.size(), " ports"),
                   cat("Leave some out: a machine has at most ", kMaxConsolePorts, "."));
    for (std::size_t i = 0; i < ports.size(); ++i) {
        const auto path = cat("console_ports[", i, "]");
        VMM_TRY(check_port_name(ports[i].name, path));
        if (ports[i].mode == ConsoleMode::Off)
            return bad(
                cat(path, " (--console-port) has no backend"),
                "Say where its other end is: socket=PATH, file=PATH, link=PATH, pty, tty or null.");
        for (std::size_t k = 0; k < i; ++k)
            if (ports[k].name == ports[i].name)
                return bad(cat(path, ".name: ", in_quotes(ports[i].name),
                               " is the name of console_ports[", k, "] already"),
                           "Give each port a name of its own.");
    }
    return {};
}

std::size_t pci_devices(const VmConfig& config) {
    return config.console_ports.empty() ? 0 : 1;
}

void add_channels(const VmConfig& config, std::vector<Channel>& channels) {
    for (std::size_t i = 0; i < config.console_ports.size(); ++i)
        channels.push_back(
            channel_of({.key = "console_ports", .index = i, .flag = "--console-port"}, {},
                       "--console-port name=NAME,", config.console_ports[i]));
}

}  // namespace

constexpr DeviceSchema kConsolePorts{
    .table = {.name = "ConsolePortConfig",
              .help = "A port between guest and host that is not a terminal",
              .keys = kKeys,
              .defaults = defaults_of<ConsolePortConfig>},
    .noun = "the device with console_ports",
    .name = "ports",
    .pci_devices = pci_devices,
    .check = check,
    .add_channels = add_channels};

}  // namespace vmm::config
