// SPDX-License-Identifier: Apache-2.0
#include "sandbox/privileges.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace vmm::sandbox {
namespace {

using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

Result<Sets> current_sets() {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    Sets sets{};
    if (::syscall(SYS_capget, &header, sets.data()) != 0)
        return std::unexpected(Error::os("capget", errno));
    return sets;
}

Result<> set(const Sets& sets) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    if (::syscall(SYS_capset, &header, sets.data()) != 0)
        return std::unexpected(Error::os("capset", errno));
    return {};
}

bool has_none(const Sets& sets) {
    return std::ranges::all_of(sets, [](const __user_cap_data_struct& word) {
        return word.permitted == 0 && word.inheritable == 0;
    });
}

bool has(const Sets& sets, unsigned capability) {
    return (sets[capability / 32].permitted & CAP_TO_MASK(capability)) != 0;
}

/// The first that the thread as it is now may not use.
std::string out_of_reach(std::span<const Reach> paths) {
    const auto closed = std::ranges::find_if(paths, [](const Reach& each) {
        return ::faccessat(AT_FDCWD, each.path.c_str(), each.mode, AT_EACCESS) != 0 &&
               errno == EACCES;
    });
    return closed == paths.end() ? std::string{} : closed->path;
}

}  // namespace

bool has_capability(unsigned capability) noexcept {
    const auto sets = current_sets();
    return sets && ((*sets)[capability / 32].effective & CAP_TO_MASK(capability)) != 0;
}

Result<> forbid_new_privileges() {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return std::unexpected(Error::os("PR_SET_NO_NEW_PRIVS", errno));
    return {};
}

Result<std::string> drop_capabilities(std::span<const Reach> paths) {
    const Sets before = VMM_TRY(current_sets());
    if (has_none(before))
        return std::string{};
    Sets kept{};
    std::string why;
    if (has(before, CAP_DAC_OVERRIDE) && !paths.empty()) {
        kept[0].permitted = CAP_TO_MASK(CAP_DAC_OVERRIDE);
        VMM_TRY(set(kept));  // nothing is in effect: what the files' modes say counts
        why = out_of_reach(paths);
        kept[0].permitted = kept[0].effective = why.empty() ? 0 : CAP_TO_MASK(CAP_DAC_OVERRIDE);
    }
    VMM_TRY(set(kept));
    return why;
}

}  // namespace vmm::sandbox
