// A pseudo-terminal of our own, for a terminal program to open by its name.
//
// We keep the side of the clients open ourselves, so that they may come and go: what nobody has
// read yet stays, and the next client finds the terminal raw as the last one left it.
#pragma once

#include <memory>

#include "backends/char_channel.hpp"

namespace vmm {

class PtyChannel final : public CharChannel {
public:
    static Result<std::unique_ptr<CharBackend>> create(boost::asio::io_context& loop,
                                                       const CharBackendConfig& config);

    PtyChannel(boost::asio::io_context& loop, Parts parts, const CharBackendConfig& config,
               std::string place, UniqueFd client)
        : CharChannel{loop, std::move(parts), config, std::move(place), Output::Buffered},
          client_{std::move(client)} {}

    std::optional<TerminalSize> terminal_size() const noexcept override;

private:
    std::size_t unread_output() const noexcept override;

    UniqueFd client_;
};

}  // namespace vmm
