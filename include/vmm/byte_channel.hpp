// SPDX-License-Identifier: Apache-2.0
// What a serial port or console needs from the host: bytes out, bytes in, never a wait.
#pragma once

#include <cstddef>
#include <span>

namespace vmm {

/// The host's side (terminal, file, pty, socket). Behind it is a buffer of fixed size. When nobody
/// reads, a full one stays full for a second at most: then there is "room", and what is written is
/// dropped and counted until somebody reads.
/// A port: leaf calls that never block and never call back. Any thread.
class ByteSink {
public:
    virtual ~ByteSink() = default;

    /// Takes as much as fits, from the front, and says how much that was. When it was less than
    /// all, ByteChannelUser::on_room() comes once there is room again.
    [[nodiscard]] virtual std::size_t write(std::span<const std::byte> bytes) noexcept = 0;

    /// Output that never came here, because the guest did not wait for room: counted with the rest.
    virtual void count_lost(std::size_t bytes) noexcept = 0;

    /// The user has room for input again after receive() took less than all.
    virtual void resume_input() noexcept = 0;
};

/// The device's side. Called from the machine's loop with the device's lock held.
class ByteChannelUser {
public:
    virtual ~ByteChannelUser() = default;

    /// Input; takes as much as fits and says how much that was. The rest is offered again after
    /// ByteSink::resume_input().
    virtual std::size_t receive(std::span<const std::byte> bytes) noexcept = 0;

    virtual void on_room() noexcept = 0;
};

}  // namespace vmm
