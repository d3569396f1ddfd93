// SPDX-License-Identifier: Apache-2.0
#include "cli/print.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "vmm/message_stream.hpp"

namespace vmm::cli {
namespace {

constexpr std::chrono::milliseconds kPatience{1000};  // with a reader of standard error

/// 0, or errno.
int write_all(int fd, std::string_view text) noexcept {
    while (!text.empty()) {
        const auto written = write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return 0;
}

}  // namespace

Result<> print(std::string_view text) {
    if (const int failure = write_all(STDOUT_FILENO, text); failure != 0)
        return std::unexpected(Error::os("write", failure).context("print to standard output"));
    return {};
}

void print_error(std::string_view text) noexcept {
    standard_error().write(text, kPatience);
}

void print_at_once(std::string_view text) noexcept {
    standard_error().write(text);
}

void finish_messages() noexcept {
    vmm::finish_messages(kPatience);
}

}  // namespace vmm::cli
