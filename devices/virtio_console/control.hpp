// SPDX-License-Identifier: Apache-2.0
// The control queues of a console with several ports: who is there, what it is, how large it is.
//
// Spec: virtio 1.3, 5.3.6.2. What the driver is still to be told is a set of flags for each port,
// so that it needs no more room however long the driver gives no buffer: of several sizes it sees
// the last one. Messages that make no sense are ignored.
// Threads: under the device's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "virtio/chain.hpp"
#include "virtio/queue.hpp"
#include "virtio_console/port.hpp"
#include "virtio_console/wire.hpp"

namespace vmm::virtio_console {

class Control {
public:
    /// `chain` is room to work in.
    Control(std::deque<Port>& ports, virtio::Chain& chain);

    /// The driver has messages in `queue`.
    void take(virtio::Queue& queue) noexcept;
    /// The driver has buffers for messages in `queue`, which is ours until leave().
    void give(virtio::Queue& queue) noexcept;
    void leave(const virtio::Queue& queue) noexcept;

    /// Of a console port.
    void set_size(std::size_t port, Size size) noexcept;

    /// The machine is paused: messages wait.
    void set_paused(bool paused) noexcept;

    /// A new driver knows of nothing.
    void forget() noexcept;

private:
    /// Messages in the order in which they go out.
    enum class Note : std::uint8_t { Add, Console, Resize, Name, Open };
    static constexpr unsigned kNotes = 5;

    struct Notes {
        std::uint8_t due = 0;  ///< bits of Note
        bool ready = false;    ///< the driver uses the port
        std::optional<Size> size;
    };

    void obey(const ControlMessage& message) noexcept;
    void device_ready(bool ready) noexcept;
    void port_ready(std::size_t port, bool ready) noexcept;
    void tell() noexcept;
    bool tell_one(std::size_t port, Note note) noexcept;
    std::uint32_t write(ControlMessage message, std::span<const std::byte> more) noexcept;

    std::deque<Port>& ports_;
    virtio::Chain& chain_;
    virtio::Queue* to_driver_ = nullptr;
    bool paused_ = false;
    std::vector<Notes> notes_;  // by port
};

}  // namespace vmm::virtio_console
