// SPDX-License-Identifier: Apache-2.0
// A pseudo-terminal of our own, for a terminal program to open by its name.
//
// We keep the side of the clients open ourselves, so that they may come and go: what nobody has
// read yet stays, and the next client finds the terminal raw as the last one left it.
#pragma once

#include <memory>
#include <optional>

#include "backends/char/char_channel.hpp"
#include "backends/char/terminal_link.hpp"

namespace vmm {

class PtyChannel final : public CharChannel {
public:
    static Result<std::unique_ptr<CharBackend>> create(boost::asio::io_context& loop,
                                                       const CharBackendConfig& config);

    PtyChannel(boost::asio::io_context& loop, Parts parts, const CharBackendConfig& config,
               std::string place, UniqueFd client, std::optional<TerminalLink> link)
        : CharChannel{loop, std::move(parts), config, std::move(place), Output::Buffered},
          client_{std::move(client)},
          link_{std::move(link)} {}

    std::optional<TerminalSize> terminal_size() const noexcept override;

private:
    std::size_t unread_output() const noexcept override;
    std::size_t take_back_unread() noexcept override;

    UniqueFd client_;
    std::optional<TerminalLink> link_;  // goes before client_, whose lock says that it is in use
};

}  // namespace vmm
