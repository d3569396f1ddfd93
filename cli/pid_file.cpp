// SPDX-License-Identifier: Apache-2.0
#include "cli/pid_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm::cli {
namespace {

constexpr std::size_t kLongestContent = 32;  // bytes; a process id has 7 digits

Error about(const std::string& path, Error error) {
    return std::move(error).context(cat("--pid-file ", path));
}

std::unexpected<Error> os_failure(const std::string& path, const char* call, int why,
                                  const char* advice) {
    return std::unexpected(
        about(path, Error::os(call, why)).as(ErrorKind::Config).hint(std::string{advice}));
}

std::unexpected<Error> not_ours(const std::string& path, std::string_view what) {
    return std::unexpected(about(path, Error{ErrorKind::Config, std::string{what}})
                               .hint("Name a file that does not exist yet: this one is left as it "
                                     "is."));
}

bool is_same_file(int fd, const std::string& path) {
    struct stat open_one {};
    struct stat named {};
    return ::fstat(fd, &open_one) == 0 && ::lstat(path.c_str(), &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

/// The number in the file, without its newline; nothing if there is something else in it.
std::optional<std::string> process_id_in(int fd) {
    std::array<char, kLongestContent + 1> text{};
    const auto got = ::pread(fd, text.data(), text.size(), 0);
    if (got < 0 || static_cast<std::size_t>(got) > kLongestContent)
        return std::nullopt;
    std::string id{text.data(), static_cast<std::size_t>(got)};
    while (id.ends_with('\n'))
        id.pop_back();
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    return std::ranges::all_of(id, is_digit) ? std::optional{id} : std::nullopt;
}

Error taken(const std::string& path, const std::string& by) {
    return about(path, Error{ErrorKind::Os,
                             by.empty() ? "another machine has this file"
                                        : cat("the machine of process ", by, " has this file")})
        .hint("End that machine first, or name another file.");
}

/// Removes what a machine that was killed left; refuses what is in use or none of ours.
Result<> remove_stale(const std::string& path) {
    const UniqueFd old{
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
    if (!old && errno == ENOENT)
        return {};
    if (!old && errno == ELOOP)
        return not_ours(path, "is a symbolic link");
    if (!old)
        return os_failure(path, "open", errno, "Name a file in a directory that you may write to.");
    struct stat status {};
    if (::fstat(old.get(), &status) != 0 || !S_ISREG(status.st_mode))
        return not_ours(path, "is not a regular file");
    const auto id = process_id_in(old.get());
    if (!id)
        return not_ours(path, "holds something other than a process id");
    if (::flock(old.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return std::unexpected(taken(path, *id));
    if (is_same_file(old.get(), path) && ::unlink(path.c_str()) != 0)
        return os_failure(path, "unlink", errno, "Remove the file of an earlier machine.");
    return {};
}

struct NewFile {
    UniqueFd fd;
    std::unique_ptr<OwnFile> file;
};

/// Beside `path`, under a name of its own.
Result<NewFile> make_beside(const std::string& path) {
    auto aside = path + ".XXXXXX";
    UniqueFd fd{::mkostemp(aside.data(), O_CLOEXEC)};
    if (!fd)
        return os_failure(path, "create", errno,
                          "Name a file in a directory that exists and that you may write to.");
    ::fchmod(fd.get(), 0644);  // whoever may see the directory may know the process
    auto file = std::make_unique<OwnFile>(std::move(aside), fd.get());
    return NewFile{.fd = std::move(fd), .file = std::move(file)};
}

}  // namespace

// The file is made now, since the sandbox lets nobody open one later.
Result<PidFile> PidFile::prepare(std::string path) {
    VMM_TRY(remove_stale(path));
    const SignalsBlocked together;  // the file and whoever removes it
    NewFile made = VMM_TRY(make_beside(path));
    return PidFile{std::move(path), std::move(made.fd), std::move(made.file)};
}

Result<> PidFile::write() {
    const SignalsBlocked together;
    const auto content = cat(::getpid(), "\n");
    const bool written =
        ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0 &&
        ::write(fd_.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size());
    const int write_error = written ? 0 : errno;
    // Before the file is there: a fault in a vCPU's thread may come between.
    auto own = std::make_unique<OwnFile>(path_, fd_.get());
    // Unlike rename(), link() does not replace the file of a machine that was quicker.
    const bool linked = written && ::link(aside_->path().c_str(), path_.c_str()) == 0;
    const int link_error = linked ? 0 : errno;
    aside_.reset();
    if (!written)
        return std::unexpected(about(path_, Error::os("write", write_error)));
    if (!linked && link_error == EEXIST)
        return std::unexpected(taken(path_, ""));
    if (!linked)
        return std::unexpected(about(path_, Error::os("link", link_error)));
    file_ = std::move(own);
    return {};
}

}  // namespace vmm::cli
