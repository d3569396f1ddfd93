// SPDX-License-Identifier: Apache-2.0
#include "backends/char/tty_channel.hpp"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string_view>
#include <utility>

#include "backends/char/one_shot_timer.hpp"

namespace vmm {
namespace {

constexpr std::chrono::nanoseconds kLookEach = std::chrono::milliseconds{500};

std::optional<TerminalSize> size_of(int fd) {
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) != 0)
        return std::nullopt;
    return TerminalSize{.columns = size.ws_col, .rows = size.ws_row};
}

}  // namespace

Result<std::unique_ptr<CharBackend>> TtyChannel::create(boost::asio::io_context& loop,
                                                        const CharBackendConfig& config,
                                                        CharBackendEvents& events) {
    Parts parts = VMM_TRY(Parts::create());
    auto channel = std::make_unique<TtyChannel>(loop, std::move(parts), config, events);
    if (::isatty(STDIN_FILENO) == 1)
        VMM_TRY(channel->use_terminal());
    channel->set_input(HostStream::shared_input(STDIN_FILENO));
    channel->set_output(HostStream::shared_output(STDOUT_FILENO));
    if (!channel->output())
        channel->output_ended(0);
    return channel;
}

TtyChannel::TtyChannel(boost::asio::io_context& loop, Parts parts, const CharBackendConfig& config,
                       CharBackendEvents& events)
    : CharChannel{loop, std::move(parts), config, "", Output::Direct}, events_{events} {}

Result<> TtyChannel::use_terminal() {
    look_again_ = VMM_TRY(make_one_shot_timer());
    watch(look_again_.get());
    terminal_ = VMM_TRY(RawTerminal::create(STDIN_FILENO, wake()));
    typed_at_ = HostStream::terminal(STDIN_FILENO);  // now: later the sandbox lets nobody open it
    return {};
}

void TtyChannel::attach(ByteChannelUser& user, Mutex& lock) noexcept {
    if (terminal_) {
        terminal_->enter();
        if (!terminal_->foreground())
            look_again_soon();
    }
    CharChannel::attach(user, lock);
}

void TtyChannel::detach() noexcept {
    CharChannel::detach();
    if (!terminal_)
        return;
    stop_timer(look_again_);
    looks_again_ = false;
    terminal_->leave();
}

void TtyChannel::look_again_soon() noexcept {
    // Not put off by whoever asks again: a guest that only says that it has room could do that.
    if (!look_again_ || std::exchange(looks_again_, true))
        return;
    start_once(look_again_, kLookEach);
}

void TtyChannel::watched_ready() noexcept {
    watch(look_again_.get());
    if (!take_expiry(look_again_))
        return;
    looks_again_ = false;
    if (!terminal_->foreground()) {
        look_again_soon();
        return;
    }
    terminal_->enter();
    if (!input().moves())
        input().read_past();
    input().wait();
}

std::optional<TerminalSize> TtyChannel::terminal_size() const noexcept {
    const auto size = size_of(STDOUT_FILENO);
    return size ? size : size_of(STDIN_FILENO);
}

std::size_t TtyChannel::filter_input(std::span<std::byte> bytes) noexcept {
    if (!terminal_)
        return bytes.size();
    const auto filtered = keys_.filter(bytes);
    if (filtered.help)
        show_help();
    if (filtered.disks)
        events_.disk_sizes_requested();
    if (filtered.quit)
        events_.quit_requested();
    return filtered.kept;
}

/// To where the keys were typed, whatever standard output is; and past the buffer, which may be
/// full, since the user is looking now.
void TtyChannel::show_help() noexcept {
    [[maybe_unused]] const auto shown =
        typed_at_.write(std::as_bytes(std::span{EscapeKeys::kHelp}));
}

void TtyChannel::woken() noexcept {
    if (!terminal_)
        return;
    const auto changes = terminal_->take_changes();
    if (changes.continued) {
        input().wait();
        if (!terminal_->foreground())
            look_again_soon();
    }
    if (changes.resized)
        if (const auto size = terminal_size())
            events_.terminal_resized(*size);
}

}  // namespace vmm
