// SPDX-License-Identifier: Apache-2.0
#include "kvm/device.hpp"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "vmm/text.hpp"

namespace vmm::kvm {
namespace {

constexpr const char* kLoadAdvice =
    "load the module (sudo modprobe kvm-intel, or kvm-amd); if it refuses, turn on virtualisation "
    "in the firmware settings, or, if this host is a virtual machine itself, nested virtualisation "
    "for it; a container needs --device /dev/kvm";

/// The name that belongs to an id in a file of lines "name:x:id:...", or the id itself. Not
/// getgrgid(3): in a static executable it would load the C library's shared modules.
std::string name_of(unsigned id, const char* file) {
    auto number = std::to_string(id);
    std::ifstream lines{file};
    for (std::string line; std::getline(lines, line);) {
        const auto name_end = line.find(':');
        const auto id_begin = line.find(':', name_end + 1);
        if (name_end == std::string::npos || id_begin == std::string::npos)
            continue;
        const auto id_end = line.find(':', id_begin + 1);
        if (line.substr(id_begin + 1, id_end - id_begin - 1) == number)
            return line.substr(0, name_end);
    }
    return number;
}

std::string octal(mode_t mode) {
    std::array<char, 4> digits{'0', '0', '0', '0'};
    for (std::size_t i = 1; i < digits.size(); ++i)
        digits[i] = static_cast<char>('0' + ((mode >> (3 * (3 - i))) & 7));
    return {digits.data(), digits.size()};
}

bool process_is_in(gid_t group) {
    const int count = ::getgroups(0, nullptr);
    std::vector<gid_t> groups(count > 0 ? static_cast<std::size_t>(count) : 0);
    const int got = ::getgroups(count, groups.data());
    groups.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return ::getegid() == group || std::ranges::find(groups, group) != groups.end();
}

Error cannot_open(const char* device, int why) {
    auto cause = Error::os("open", why);
    struct stat node {};
    if ((why == EACCES || why == EPERM) && ::stat(device, &node) == 0)
        return permission_denied(std::move(cause), device,
                                 {.owner = node.st_uid,
                                  .group = node.st_gid,
                                  .mode = node.st_mode & 07777,
                                  .in_group = process_is_in(node.st_gid)});
    if (why == ENOENT || why == ENODEV || why == ENXIO)
        return std::move(cause)
            .context(cat("this host offers no KVM at ", device))
            .hint(kLoadAdvice);
    return std::move(cause).context(cat("cannot open ", device));
}

Error not_kvm(const char* device, Error cause) {
    struct stat node {};
    const bool is_device = ::stat(device, &node) == 0 && S_ISCHR(node.st_mode);
    return std::move(cause)
        .context(cat(device, is_device ? " is a device, but not KVM"
                                       : " is not KVM: it is not even a character device"))
        .hint(cat("`ls -l ", device,
                  "` has to show character device 10, 232. Remove what is in its place and "
                  "reload the kvm module, or give the container the host's node."));
}

}  // namespace

Error permission_denied(Error cause, const char* device, const DevicePermissions& who,
                        const char* passwd, const char* groups) {
    const auto group = name_of(who.group, groups);
    auto error = std::move(cause).context(cat("no permission to use ", device, " (owner ",
                                              name_of(who.owner, passwd), ", group ", group,
                                              ", mode ", octal(who.mode), ")"));
    const bool group_may = (who.mode & 0060) == 0060;
    if (group_may && !who.in_group)
        return std::move(error).hint(cat("Join the group that may: sudo usermod -aG ", group,
                                         " $USER, then log out and in again."));
    if (group_may)
        return std::move(error).hint(
            "Owner and mode would allow it, so something else forbids it: look at the container's "
            "device rules, AppArmor or SELinux.");
    return std::move(error).hint(
        cat("The mode keeps group ", group, " out. Let a group use it: sudo chgrp kvm ", device,
            " && sudo chmod 0660 ", device,
            ", then sudo usermod -aG kvm $USER, and log out and in again."));
}

Result<Handle> open(const char* device) {
    const int fd = ::open(device, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return std::unexpected(cannot_open(device, errno));
    Handle kvm{UniqueFd{fd}};

    auto version = kvm.call(VMM_REQUEST(KVM_GET_API_VERSION), 0);
    if (!version)
        return std::unexpected(not_kvm(device, std::move(version).error()));
    if (*version != KVM_API_VERSION)
        return std::unexpected(
            Error{ErrorKind::Unsupported,
                  cat(device, " speaks version ", *version,
                      " of KVM's interface, this program version ", KVM_API_VERSION)});
    return kvm;
}

}  // namespace vmm::kvm
