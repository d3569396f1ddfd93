// SPDX-License-Identifier: Apache-2.0
#include "sandbox/namespaces.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbox/privileges.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::sandbox {
namespace {

constexpr const char* kAdvice =
    "Allow unprivileged user namespaces on this host (sysctl user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, or the "
    "container's seccomp profile), or use --sandbox on.";

Error failed(const char* call, int why, std::string doing) {
    return Error::os(call, why).context(std::move(doing)).context("--sandbox strict").hint(kAdvice);
}

Result<> write_file(const char* path, std::string_view text) {
    const UniqueFd fd{::open(path, O_WRONLY | O_CLOEXEC)};
    if (!fd)
        return std::unexpected(failed("open", errno, path));
    if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return std::unexpected(failed("write", errno, path));
    return {};
}

/// A mount that is nowhere yet; none, of a path that does not exist, which Landlock's rule tells.
struct Kept {
    std::string place;  ///< absolute
    bool directory = true;
    UniqueFd tree;
};

std::string current_folder() {
    std::array<char, PATH_MAX> name{};
    return ::getcwd(name.data(), name.size()) == nullptr ? std::string{"/"}
                                                         : std::string{name.data()};
}

Result<Kept> keep(const std::string& path, const std::string& here) {
    Kept kept{.place = path.starts_with('/') ? path : cat(here, "/", path)};
    kept.tree = UniqueFd{static_cast<int>(
        ::syscall(SYS_open_tree, AT_FDCWD, path.c_str(),
                  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | static_cast<unsigned>(AT_RECURSIVE)))};
    if (!kept.tree && errno == ENOENT)
        return kept;
    if (!kept.tree)
        return std::unexpected(failed("open_tree", errno, path));
    struct stat status {};
    kept.directory = ::fstat(kept.tree.get(), &status) == 0 && S_ISDIR(status.st_mode);
    return kept;
}

/// Directories up to the last component of `path`, or with it.
void make_folders(const std::string& path, bool with_last) {
    for (auto at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
        ::mkdir(path.substr(0, at).c_str(), 0755);
    if (with_last)
        ::mkdir(path.c_str(), 0755);
}

/// Below `root`.
Result<> put(const Kept& kept, const std::string& root) {
    if (!kept.tree)
        return {};
    const auto place = root + kept.place;
    make_folders(place, kept.directory);
    if (!kept.directory)
        const UniqueFd made{::open(place.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
    if (::syscall(SYS_move_mount, kept.tree.get(), "", AT_FDCWD, place.c_str(),
                  MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return std::unexpected(failed("move_mount", errno, kept.place));
    return {};
}

/// Over a directory that is out of sight from then on.
Result<> make_root(const std::string& root) {
    constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (::mount("none", root.c_str(), "tmpfs", kFlags, "size=64k,mode=755") != 0)
        return std::unexpected(failed("mount", errno, "an empty root"));
    return {};
}

Result<> change_root(const std::string& root, const std::string& here) {
    constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    make_folders(root + here, true);  // so that relative paths stay what they are
    if (::chdir(root.c_str()) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0)
        return std::unexpected(failed("pivot_root", errno, "an empty root"));
    if (::umount2(".", MNT_DETACH) != 0)
        return std::unexpected(failed("umount2", errno, "leave the old root"));
    if (::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kFlags, nullptr) != 0)
        return std::unexpected(failed("mount", errno, "make the root read-only"));
    if (::chdir(here.c_str()) != 0)
        return std::unexpected(failed("chdir", errno, here));
    return {};
}

/// A directory that every system has, to hold the new root while it is being made.
std::string holder() {
    constexpr std::array<const char*, 4> kUsual{"/tmp", "/proc", "/dev", "/sys"};
    const auto* const found =
        std::ranges::find_if(kUsual, [](const char* path) { return ::access(path, F_OK) == 0; });
    return found == kUsual.end() ? "/tmp" : *found;
}

}  // namespace

Result<> prepare_namespaces() {
    if (has_capability(CAP_SYS_ADMIN))
        return {};
    const auto user = ::geteuid();
    const auto group = ::getegid();
    if (::unshare(CLONE_NEWUSER) != 0)
        return std::unexpected(failed("unshare", errno, "make a user namespace"));
    VMM_TRY(write_file("/proc/self/setgroups", "deny"));
    VMM_TRY(write_file("/proc/self/uid_map", cat(user, " ", user, " 1")));
    return write_file("/proc/self/gid_map", cat(group, " ", group, " 1"));
}

Result<> enter_namespaces(std::span<const std::string> paths) {
    if (::unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET) != 0)
        return std::unexpected(failed("unshare", errno, "make namespaces"));
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        return std::unexpected(failed("mount", errno, "make mounts private"));
    const auto here = current_folder();
    std::vector<Kept> all;
    for (const auto& path : paths)
        all.push_back(VMM_TRY(keep(path, here)));
    const auto root = holder();
    VMM_TRY(make_root(root));
    for (const Kept& kept : all)
        VMM_TRY(put(kept, root));
    return change_root(root, here);
}

}  // namespace vmm::sandbox
