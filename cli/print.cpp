#include "cli/print.hpp"

#include <unistd.h>

#include <cerrno>

namespace vmm::cli {
namespace {

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
    write_all(STDERR_FILENO, text);
}

}  // namespace vmm::cli
