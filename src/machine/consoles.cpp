// SPDX-License-Identifier: Apache-2.0
#include "machine/consoles.hpp"

#include <utility>

#include "vmm/log.hpp"
#include "vmm/text.hpp"

namespace vmm::machine {
namespace {

CharMode to_char_mode(ConsoleMode mode) {
    switch (mode) {
        case ConsoleMode::Tty:
            return CharMode::Tty;
        case ConsoleMode::Pty:
            return CharMode::Pty;
        case ConsoleMode::File:
            return CharMode::File;
        case ConsoleMode::Socket:
            return CharMode::Socket;
        case ConsoleMode::Null:
        case ConsoleMode::Off:
            break;
    }
    return CharMode::Null;
}

template <class Channel>
const std::string& path_of(const Channel& config) {
    if (config.mode == ConsoleMode::Pty)
        return config.link;
    return config.mode == ConsoleMode::Socket ? config.socket : config.file;
}

}  // namespace

template <class Channel>
Result<> Consoles::open(Side& side, const Channel& config, const std::string& name) {
    if (config.mode == ConsoleMode::Off)
        return {};
    const CharBackendConfig backend{
        .mode = to_char_mode(config.mode), .path = path_of(config), .name = name};
    side.backend = VMM_TRY(make_char_backend(loop_, backend, events_));
    if (config.mode == ConsoleMode::Pty) {
        const auto where = cat("the ", name, " is ", side.backend->place(),
                               config.link.empty() ? "" : cat(", linked from ", config.link));
        tell_(where);
        log::info(where);
    }
    return {};
}

Result<> Consoles::open_serial() {
    VMM_TRY(open(serial_, config_.serial, "serial port"));
    if (serial_.backend)
        serial_.watch = std::make_unique<ConsoleWatch>(*serial_.backend);
    return {};
}

Result<> Consoles::open_virtio() {
    VMM_TRY(open(console_, config_.console, "console"));
    if (console_.backend)
        console_.watch = std::make_unique<ConsoleWatch>(*console_.backend);
    for (const auto& port : config_.console_ports)
        VMM_TRY(open(ports_.emplace_back(), port, cat("port ", port.name)));
    return {};
}

std::vector<ByteSink*> Consoles::ports() const {
    std::vector<ByteSink*> sinks;
    sinks.reserve(ports_.size());
    for (const Side& port : ports_)
        sinks.push_back(port.backend.get());
    return sinks;
}

std::optional<TerminalSize> Consoles::console_size() const {
    return console_.backend ? console_.backend->terminal_size() : std::nullopt;
}

void Consoles::attach(Devices devices) {
    devices_ = std::move(devices);
    if (devices_.serial)
        serial_.backend->attach(*devices_.serial->user, *devices_.serial->lock);
    if (devices_.console)
        console_.backend->attach(devices_.console->port(0), devices_.console->lock());
    for (std::size_t i = 0; i < ports_.size(); ++i)
        ports_[i].backend->attach(devices_.ports->port(i), devices_.ports->lock());
}

void Consoles::detach() noexcept {
    for (const Side* const side : sides())
        if (side->backend)
            side->backend->detach();
}

// The serial port and other ports have no use for it.
void Consoles::resized(TerminalSize size) noexcept {
    if (devices_.console && config_.console.mode == ConsoleMode::Tty)
        devices_.console->set_size(0, size.columns, size.rows);
}

std::vector<const Consoles::Side*> Consoles::sides() const {
    std::vector<const Side*> all{&serial_, &console_};
    for (const Side& port : ports_)
        all.push_back(&port);
    return all;
}

std::vector<LastOutput> Consoles::outputs() const {
    std::vector<LastOutput> all;
    const auto add = [&](const Side& side, std::string name, virtio_console::Console* device,
                         std::size_t port) {
        if (device)
            all.push_back({*side.backend, std::move(name), [=] { return device->has_output(port); },
                           [=] { return device->drop_output(port); }});
    };
    if (devices_.serial)
        all.push_back({*serial_.backend, "serial port", devices_.serial->has_output,
                       devices_.serial->drop_output});
    add(console_, "console", devices_.console, 0);
    for (std::size_t i = 0; i < ports_.size(); ++i)
        add(ports_[i], cat("port ", config_.console_ports[i].name), devices_.ports, i);
    return all;
}

std::vector<std::string> Consoles::drain(std::chrono::milliseconds at_most) {
    const auto all = outputs();
    let_out(all, at_most);
    return drop_rest(all);
}

std::string Consoles::last_panic() const {
    std::string said;
    for (const Side* const side : sides())
        if (said.empty() && side->watch)
            said = side->watch->last_panic();
    return said;
}

void Consoles::forget_panic() noexcept {
    for (const Side* const side : sides())
        if (side->watch)
            side->watch->forget();
}

}  // namespace vmm::machine
