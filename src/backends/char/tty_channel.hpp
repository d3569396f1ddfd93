// SPDX-License-Identifier: Apache-2.0
// Standard input and output as the other end of a serial port, whatever they are.
//
// A terminal gets raw mode and the Ctrl-A keys; a pipe, a file, /dev/null or a closed descriptor is
// read to its end, and that is not the end of the guest.
// A terminal is looked at from time to time while nothing tells us about it: in the background,
// since a shell brings a job that runs to the foreground without a signal; and while the guest
// takes no input, since Ctrl-A x must be seen behind whatever was typed before. What the guest has
// no room for is then lost.
#pragma once

#include <memory>

#include "backends/char/char_channel.hpp"
#include "backends/char/escape_keys.hpp"
#include "backends/char/raw_terminal.hpp"
#include "vmm/mutex.hpp"

namespace vmm {

class TtyChannel final : public CharChannel {
public:
    static Result<std::unique_ptr<CharBackend>> create(boost::asio::io_context& loop,
                                                       const CharBackendConfig& config,
                                                       CharBackendEvents& events);

    TtyChannel(boost::asio::io_context& loop, Parts parts, const CharBackendConfig& config,
               CharBackendEvents& events);

    void attach(ByteChannelUser& user, Mutex& lock) noexcept override;
    void detach() noexcept override;
    std::optional<TerminalSize> terminal_size() const noexcept override;

private:
    std::size_t filter_input(std::span<std::byte> bytes) noexcept override;
    bool may_read() const noexcept override { return !terminal_ || terminal_->foreground(); }
    void input_waits() noexcept override { look_again_soon(); }
    void woken() noexcept override;
    void watched_ready() noexcept override;
    void look_again_soon() noexcept;
    void show_help() noexcept;
    Result<> use_terminal();

    CharBackendEvents& events_;
    UniqueFd look_again_;                    // a timer; none: there is no terminal
    bool looks_again_ = false;               // it runs
    std::unique_ptr<RawTerminal> terminal_;  // none: standard input is something else
    HostStream typed_at_;                    // the terminal, for what a key asked for
    EscapeKeys keys_;
};

}  // namespace vmm
