// SPDX-License-Identifier: Apache-2.0
#include "vmm/named_descriptor.hpp"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>

#include "vmm/text.hpp"

namespace vmm {
namespace {

constexpr int kLinksToFollow = 40;  // as the kernel does

std::optional<int> number_of(std::string_view text) {
    int number = -1;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || stop != text.data() + text.size() || number < 0)
        return std::nullopt;
    return number;
}

/// Without what changes nothing: "//" and "/./".
std::string tidied(std::string_view path) {
    std::string text;
    for (std::size_t i = 0; i < path.size(); ++i) {
        const auto rest = path.substr(i);
        if (rest.starts_with("//"))
            continue;
        if (rest.starts_with("/./")) {
            ++i;
            continue;
        }
        text += path[i];
    }
    return text;
}

std::optional<int> spelled_out(std::string_view path) {
    if (path == "/dev/stdin")
        return STDIN_FILENO;
    if (path == "/dev/stdout")
        return STDOUT_FILENO;
    if (path == "/dev/stderr")
        return STDERR_FILENO;
    const auto ours = cat("/proc/", ::getpid(), "/fd/");
    for (const std::string_view folder :
         {std::string_view{"/dev/fd/"}, std::string_view{"/proc/self/fd/"},
          std::string_view{"/proc/thread-self/fd/"}, std::string_view{ours}})
        if (path.starts_with(folder))
            return number_of(path.substr(folder.size()));
    return std::nullopt;
}

/// Where a symbolic link leads.
std::optional<std::string> target_of(const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const auto size = ::readlink(path.c_str(), target.data(), target.size());
    if (size <= 0)
        return std::nullopt;
    const std::string_view text{target.data(), static_cast<std::size_t>(size)};
    if (text.starts_with('/'))
        return std::string{text};
    const auto slash = path.rfind('/');
    return cat(slash == std::string::npos ? "" : path.substr(0, slash + 1), text);
}

}  // namespace

std::optional<int> named_descriptor(const std::string& path) {
    std::optional<std::string> at{path};
    for (int i = 0; at && i < kLinksToFollow; ++i) {
        *at = tidied(*at);
        if (const auto number = spelled_out(*at))
            return number;
        at = target_of(*at);
    }
    return std::nullopt;
}

bool is_inherited(int fd) noexcept {
    const int flags = ::fcntl(fd, F_GETFD);
    return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

}  // namespace vmm
