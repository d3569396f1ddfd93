// SPDX-License-Identifier: Apache-2.0
// The virtio console, and the ports of --console-port. Their host sides are the machine's consoles.
#include "virtio_console/console.hpp"

#include <utility>

#include "config/kinds/kinds.hpp"
#include "config/limits.hpp"
#include "machine/devices/kinds.hpp"

namespace vmm::machine {
namespace {

static_assert(config::kMaxConsolePorts <= virtio_console::kMaxPorts);
static_assert(config::kMaxPortName <= virtio_console::kMaxName);

Result<MadeDevice> make(virtio_console::ConsoleOptions options, bool packed,
                        const DeviceParts& parts) {
    auto body = VMM_TRY(virtio_console::Console::create(std::move(options)));
    auto* const console = body.get();
    auto device = VMM_TRY(make_virtio_device(std::move(body), packed, parts));
    return MadeDevice{std::move(device), console};
}

}  // namespace

std::vector<NewDevice> console_devices(const VmConfig& config) {
    std::vector<NewDevice> wanted;
    if (config.console.mode != ConsoleMode::Off)
        wanted.push_back({config::kConsole.name_of(config, 0),
                          [&config](const std::string& id, const DeviceParts& parts) {
                              return make(
                                  {.name = id, .ports = {{.console = true, .sink = parts.console}}},
                                  config.console.packed, parts);
                          },
                          config.console.pci_device_id});
    return wanted;
}

// A device of their own: the console stays a plain one, which has its size in configuration space
// (most Linux kernels before 6.15 misread the message about it) and output before any message is
// exchanged.
std::vector<NewDevice> console_port_devices(const VmConfig& config) {
    std::vector<NewDevice> wanted;
    if (!config.console_ports.empty())
        wanted.push_back({config::kConsolePorts.name_of(config, 0),
                          [&config](const std::string& id, const DeviceParts& parts) {
                              virtio_console::ConsoleOptions options{.name = id};
                              const auto& ports = config.console_ports;
                              for (std::size_t i = 0; i < ports.size(); ++i)
                                  options.ports.push_back(
                                      {.name = ports[i].name, .sink = parts.console_ports.at(i)});
                              return make(std::move(options), config.console.packed, parts);
                          }});
    return wanted;
}

}  // namespace vmm::machine
