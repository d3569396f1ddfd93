// SPDX-License-Identifier: Apache-2.0
// One port of a console: bytes from the driver to the host and back.
//
// Spec: virtio 1.3, 5.3.6.
// Output goes from guest RAM into the sink, one call for each piece. What the sink does not take
// stays where it is: the request goes back into the ring and is looked at again when there is room,
// so that nothing is buffered here. When nobody reads, the sink's patience ends that (ByteSink).
// Input goes straight into the driver's buffers; with none left the host's side waits.
//
// Threads: everything under the device's lock. receive() and on_room() come from the machine's
// loop, everything else from the I/O thread; that is what the lock is for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "virtio/chain.hpp"
#include "virtio/queue.hpp"
#include "vmm/byte_channel.hpp"

namespace vmm::virtio_console {

struct PortOptions {
    std::string name;          ///< for the driver; at most kMaxName bytes, may be empty
    bool console = false;      ///< a user sits there
    ByteSink* sink = nullptr;  ///< the host's side; outlives the device
};

class Port final : public ByteChannelUser {
public:
    /// `chain` is room to work in, shared by all that the lock guards.
    Port(PortOptions options, virtio::Chain& chain);
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    const PortOptions& options() const noexcept { return options_; }

    // ByteChannelUser

    std::size_t receive(std::span<const std::byte> bytes) noexcept override;
    void on_room() noexcept override;

    // The I/O thread.

    /// The driver may have added buffers for input. `queue` is the port's until leave().
    void refilled(virtio::Queue& queue) noexcept;
    /// The driver may have output.
    void transmit(virtio::Queue& queue) noexcept;
    void leave(const virtio::Queue& queue) noexcept;

    /// The driver has output that did not go out yet.
    bool has_output() const noexcept { return output_ != nullptr && output_->has_next(); }
    /// Takes what is left and drops it; gives how many bytes were dropped, this time and before.
    /// With the lock held, when the machine is at its end.
    std::uint64_t drop_output() noexcept;

    /// Somebody in the guest reads what comes in; until then it waits.
    void set_open(bool open) noexcept;
    /// The machine is paused: input waits.
    void set_paused(bool paused) noexcept;

private:
    enum class Output : std::uint8_t {
        Flows,
        Waits,    ///< for on_room()
        Dropped,  ///< the machine is at its end
    };
    enum class Sent : std::uint8_t { All, NoRoom, Budget };

    void ask_for_input() noexcept;
    Sent send(const GuestMemory& memory, std::uint64_t& budget) noexcept;
    bool send_piece(std::span<const std::byte> bytes) noexcept;
    bool take_turn(virtio::Queue& queue) noexcept;

    const PortOptions options_;
    ByteSink& sink_;
    virtio::Chain& chain_;

    virtio::Queue* input_ = nullptr;  ///< while they are ours
    virtio::Queue* output_ = nullptr;
    bool open_ = false;
    bool paused_ = false;
    bool starved_ = false;  ///< receive() took less than all, and the host waits for us

    Output state_ = Output::Flows;
    std::uint64_t sent_ = 0;     ///< bytes of the driver's next request that went out already
    std::uint64_t dropped_ = 0;  ///< bytes
};

}  // namespace vmm::virtio_console
