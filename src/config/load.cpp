// SPDX-License-Identifier: Apache-2.0
#include "config/load.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "config/json_read.hpp"
#include "config/json_tree.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::config {
namespace {

/// Up to one byte more than a configuration may have, so that a device file ends, too.
Result<std::string> read_all(int fd) {
    std::string text;
    std::array<char, 4096> part{};
    while (text.size() <= kMaxJsonBytes) {
        const auto got = read(fd, part.data(), part.size());
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return std::unexpected(Error::os("read", errno));
        if (got == 0)
            break;
        text.append(part.data(), static_cast<std::size_t>(got));
    }
    return text;
}

Result<std::string> read_file(const std::string& file) {
    if (file == "-")
        return read_all(STDIN_FILENO);
    const UniqueFd fd{open(file.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd)
        return std::unexpected(Error::os("open", errno));
    return read_all(fd.get());
}

}  // namespace

Result<VmConfig> load(const std::string& file, std::span<const FlagUse> flags) {
    VmConfig config;
    if (!file.empty()) {
        auto text = read_file(file);
        if (!text)
            return std::unexpected(std::move(text)
                                       .error()
                                       .context(cat("read the configuration ", file))
                                       .as(ErrorKind::Config)
                                       .hint("Check the name given with --config."));
        VMM_TRY(read_json(*text, file == "-" ? "<stdin>" : file, config));
    }
    VMM_TRY(apply_flags(config, flags));
    return config;
}

}  // namespace vmm::config
