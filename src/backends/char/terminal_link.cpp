// SPDX-License-Identifier: Apache-2.0
#include "backends/char/terminal_link.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

constexpr std::string_view kTerminals = "/dev/pts/";

std::optional<std::string> target_of(const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const auto size = ::readlink(path.c_str(), target.data(), target.size());
    if (size < 0)
        return std::nullopt;
    return std::string{target.data(), static_cast<std::size_t>(size)};
}

struct flock whole_file() {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return lock;
}

/// Whether a machine behind `terminal` runs. One that we may not open is another user's, who got
/// the number after the machine that had it ended.
bool is_in_use(const std::string& terminal) {
    const UniqueFd fd{::open(terminal.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)};
    struct flock held = whole_file();
    return fd && ::fcntl(fd.get(), F_OFD_GETLK, &held) == 0 && held.l_type != F_UNLCK;
}

/// Fails unless `path` is a link that an ended machine left.
Result<> check_stale(const std::string& path) {
    const auto taken = [] { return Error::os("symlink", EEXIST); };
    const auto target = target_of(path);
    if (!target)
        return std::unexpected(
            taken().hint("The path is not a symbolic link: name one that does not exist."));
    if (!target->starts_with(kTerminals))
        return std::unexpected(
            taken().hint(cat("The path is a symbolic link to ", *target,
                             ", which no machine has made: name another path, or remove it.")));
    if (is_in_use(*target))
        return std::unexpected(taken().hint(cat(
            "It leads to ", *target, ", the terminal of a machine that runs: name another path.")));
    return {};
}

/// In one step, so that whoever looks for the link finds the old one or the new one.
Result<> replace(const std::string& path, const std::string& terminal) {
    const auto aside = cat(path, ".", ::getpid());
    ::unlink(aside.c_str());  // of a process that had our number
    if (::symlink(terminal.c_str(), aside.c_str()) != 0)
        return std::unexpected(Error::os("symlink", errno));
    if (::rename(aside.c_str(), path.c_str()) == 0)
        return {};
    const int why = errno;
    ::unlink(aside.c_str());
    return std::unexpected(Error::os("rename", why));
}

Result<> make_link(const std::string& path, const std::string& terminal) {
    if (::symlink(terminal.c_str(), path.c_str()) == 0)
        return {};
    if (errno != EEXIST)
        return std::unexpected(
            Error::os("symlink", errno).hint("Name a path in a directory that you may write to."));
    VMM_TRY(check_stale(path));
    return replace(path, terminal);
}

}  // namespace

Result<TerminalLink> TerminalLink::create(const std::string& path, const std::string& terminal,
                                          int fd) {
    struct flock lock = whole_file();
    if (::fcntl(fd, F_OFD_SETLK, &lock) != 0)
        return std::unexpected(Error::os("F_OFD_SETLK", errno).context(cat("lock ", terminal)));
    VMM_TRY_OR(make_link(path, terminal), cat("link ", path, " to ", terminal));
    return TerminalLink{path, terminal};
}

TerminalLink::TerminalLink(TerminalLink&& other) noexcept
    : path_{std::exchange(other.path_, {})}, terminal_{std::move(other.terminal_)} {}

TerminalLink::~TerminalLink() {
    if (!path_.empty() && target_of(path_) == terminal_)
        ::unlink(path_.c_str());
}

}  // namespace vmm
