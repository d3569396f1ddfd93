// SPDX-License-Identifier: Apache-2.0
#include "virtio_console/control.hpp"

#include <algorithm>

namespace vmm::virtio_console {
namespace {

// What is done in one turn: others want the lock and the thread too.
constexpr unsigned kTurnMessages = 64;

constexpr std::uint8_t bit(unsigned note) {
    return static_cast<std::uint8_t>(1u << note);
}

}  // namespace

Control::Control(std::deque<Port>& ports, virtio::Chain& chain)
    : ports_{ports}, chain_{chain}, notes_(ports.size()) {}

void Control::take(virtio::Queue& queue) noexcept {
    queue.disable_kicks();
    bool more = true;
    for (unsigned messages = 0; messages < kTurnMessages; ++messages) {
        if (!queue.pop(chain_)) {
            more = queue.enable_kicks();
            break;
        }
        const auto message = chain_.reader().read<ControlMessage>(queue.memory());
        queue.complete(chain_.head(), 0);
        if (message)
            obey(*message);
    }
    queue.publish();
    if (more)
        queue.kick();
    tell();
}

void Control::obey(const ControlMessage& message) noexcept {
    const bool yes = message.value != 0;
    if (message.event == Event::DeviceReady) {
        device_ready(yes);
        return;
    }
    if (message.port >= ports_.size())
        return;
    if (message.event == Event::PortReady)
        port_ready(message.port, yes);
    else if (message.event == Event::PortOpen)
        ports_[message.port].set_open(yes);
}

void Control::device_ready(bool ready) noexcept {
    for (Notes& notes : notes_) {
        notes.ready = false;
        notes.due = ready ? bit(static_cast<unsigned>(Note::Add)) : std::uint8_t{0};
    }
}

void Control::port_ready(std::size_t port, bool ready) noexcept {
    Notes& notes = notes_[port];
    const PortOptions& options = ports_[port].options();
    notes.ready = ready;
    notes.due = 0;
    if (!ready)
        return;
    const auto note = [&](Note what, bool due) {
        if (due)
            notes.due = static_cast<std::uint8_t>(notes.due | bit(static_cast<unsigned>(what)));
    };
    note(Note::Console, options.console);
    note(Note::Resize, options.console && notes.size);
    note(Note::Name, !options.name.empty());
    note(Note::Open, true);
}

void Control::set_size(std::size_t port, Size size) noexcept {
    Notes& notes = notes_[port];
    if (notes.size == size)
        return;
    notes.size = size;
    if (!notes.ready)
        return;
    notes.due = static_cast<std::uint8_t>(notes.due | bit(static_cast<unsigned>(Note::Resize)));
    tell();
}

void Control::give(virtio::Queue& queue) noexcept {
    to_driver_ = &queue;
    tell();
}

void Control::leave(const virtio::Queue& queue) noexcept {
    if (to_driver_ == &queue)
        to_driver_ = nullptr;
}

void Control::set_paused(bool paused) noexcept {
    paused_ = paused;
    tell();
}

void Control::forget() noexcept {
    device_ready(false);
}

// As much of what is due as there are buffers for.
void Control::tell() noexcept {
    if (to_driver_ == nullptr || paused_)
        return;
    to_driver_->disable_kicks();
    bool room = true;
    for (std::size_t port = 0; room && port < notes_.size(); ++port)
        for (unsigned note = 0; room && note < kNotes; ++note)
            if ((notes_[port].due & bit(note)) != 0)
                room = tell_one(port, static_cast<Note>(note));
    to_driver_->publish();
    // The next turn is for a buffer that came just now.
    if (!room && to_driver_->enable_kicks())
        to_driver_->kick();
}

// False if there is no buffer. A message that does not fit into the driver's buffer is lost: it
// comes back empty.
bool Control::tell_one(std::size_t port, Note note) noexcept {
    if (!to_driver_->pop(chain_))
        return false;
    Notes& notes = notes_[port];
    notes.due = static_cast<std::uint8_t>(notes.due & ~bit(static_cast<unsigned>(note)));
    ControlMessage message{.port = static_cast<std::uint32_t>(port), .event = Event::DeviceAdd};
    std::span<const std::byte> more;
    const Size size = notes.size.value_or(Size{});
    switch (note) {
        case Note::Add:
            break;
        case Note::Console:
            message.event = Event::ConsolePort;
            message.value = 1;
            break;
        case Note::Resize:
            message.event = Event::Resize;
            more = std::as_bytes(std::span{&size, 1});
            break;
        case Note::Name:
            message.event = Event::PortName;
            message.value = 1;
            more = std::as_bytes(std::span{ports_[port].options().name});
            break;
        case Note::Open:
            message.event = Event::PortOpen;
            message.value = 1;
            break;
    }
    to_driver_->complete(chain_.head(), write(message, more));
    return true;
}

// The length for the used ring.
std::uint32_t Control::write(ControlMessage message, std::span<const std::byte> more) noexcept {
    virtio::Cursor writer = chain_.writer();
    const std::size_t length = sizeof message + more.size();
    if (writer.remaining() < length || !writer.write(to_driver_->memory(), message) ||
        !writer.copy_out(to_driver_->memory(), more))
        return 0;
    return static_cast<std::uint32_t>(length);
}

}  // namespace vmm::virtio_console
