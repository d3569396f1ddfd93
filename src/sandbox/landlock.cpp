// SPDX-License-Identifier: Apache-2.0
#include "sandbox/landlock.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "vmm/text.hpp"

namespace vmm::sandbox {
namespace {

// Linux 6.2 to 6.12; the headers that this is built with may be older.
constexpr std::uint64_t kTruncate = 1ULL << 14;        // LANDLOCK_ACCESS_FS_TRUNCATE
constexpr std::uint64_t kIoctlDevice = 1ULL << 15;     // LANDLOCK_ACCESS_FS_IOCTL_DEV
constexpr std::uint64_t kBindTcp = 1ULL << 0;          // LANDLOCK_ACCESS_NET_BIND_TCP
constexpr std::uint64_t kConnectTcp = 1ULL << 1;       // LANDLOCK_ACCESS_NET_CONNECT_TCP
constexpr std::uint64_t kAbstractSockets = 1ULL << 0;  // LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
constexpr std::uint64_t kSignals = 1ULL << 1;          // LANDLOCK_SCOPE_SIGNAL

/// landlock_ruleset_attr of version 6. Shorter ones end where their version does.
struct RulesetAttributes {
    std::uint64_t files;
    std::uint64_t ports;
    std::uint64_t scopes;
};
static_assert(sizeof(RulesetAttributes) == 24);

constexpr std::uint64_t kFirstFiles = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // of version 1

struct Step {
    int version;
    std::string_view what;
    LandlockRights rights;
};
constexpr auto kSteps = std::array{
    Step{1, "files", {.files = kFirstFiles}},
    // Version 1 refuses it too, without being asked.
    Step{2, "", {.files = LANDLOCK_ACCESS_FS_REFER}},
    Step{3, "truncating files", {.files = kTruncate}},
    Step{4, "TCP ports", {.ports = kBindTcp | kConnectTcp}},
    Step{5, "ioctls of devices", {.files = kIoctlDevice}},
    Step{6, "abstract sockets and signals", {.scopes = kAbstractSockets | kSignals}},
};
static_assert(kSteps.back().version == kWholeLandlock);

/// What a rule about something other than a directory may name.
constexpr std::uint64_t kRightsOfFile = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                        LANDLOCK_ACCESS_FS_READ_FILE | kTruncate | kIoctlDevice;

constexpr std::uint64_t kReading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWriting = LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate |
                                   LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                   LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                   LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                   LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;

constexpr std::uint64_t rights_of(PathAccess access) {
    switch (access) {
        case PathAccess::Read:
            return kReading | kIoctlDevice;
        case PathAccess::Write:
            return kWriting | kIoctlDevice;
        case PathAccess::ReadWrite:
            return kReading | kWriting | kIoctlDevice;
        case PathAccess::Remove:
            return LANDLOCK_ACCESS_FS_REMOVE_FILE;
        case PathAccess::Publish:
            return LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;
    }
    return 0;
}

Error cannot_open(const PathRule& rule, int why) {
    return Error::os("open", why)
        .context(cat(rule.whose, ": ", rule.path))
        .as(ErrorKind::Config)
        .hint("Name a path that exists when the machine starts, or leave the rule out.");
}

Result<> add_path(int rules, std::uint64_t known, const PathRule& rule) {
    const UniqueFd place{::open(rule.path.c_str(), O_PATH | O_CLOEXEC)};
    if (!place)
        return std::unexpected(cannot_open(rule, errno));
    struct stat status {};
    if (::fstat(place.get(), &status) != 0)
        return std::unexpected(cannot_open(rule, errno));
    landlock_path_beneath_attr beneath{.allowed_access = rights_of(rule.access) & known,
                                       .parent_fd = place.get()};
    if (!S_ISDIR(status.st_mode))
        beneath.allowed_access &= kRightsOfFile;
    if (beneath.allowed_access == 0)
        return {};
    if (::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
        return std::unexpected(
            Error::os("landlock_add_rule", errno).context(cat(rule.whose, ": ", rule.path)));
    return {};
}

constexpr std::size_t size_of_attributes(int version) {
    return version < 4 ? sizeof(std::uint64_t)
                       : (version < kWholeLandlock ? 2 : 3) * sizeof(std::uint64_t);
}

}  // namespace

LandlockRights landlock_rights(int version) noexcept {
    LandlockRights all;
    for (const Step& step : kSteps) {
        if (step.version > version)
            break;
        all.files |= step.rights.files;
        all.ports |= step.rights.ports;
        all.scopes |= step.rights.scopes;
    }
    return all;
}

std::vector<std::string_view> landlock_gaps(int version) {
    std::vector<std::string_view> gaps;
    for (const Step& step : kSteps)
        if (step.version > version && !step.what.empty())
            gaps.push_back(step.what);
    return gaps;
}

int landlock_version() noexcept {
    const auto version =
        ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return static_cast<int>(std::max(version, 0L));
}

Result<Landlock> Landlock::prepare(int version, std::span<const PathRule> paths) {
    const auto rights = landlock_rights(version);
    const RulesetAttributes attributes{
        .files = rights.files, .ports = rights.ports, .scopes = rights.scopes};
    UniqueFd rules{static_cast<int>(
        ::syscall(SYS_landlock_create_ruleset, &attributes, size_of_attributes(version), 0))};
    if (!rules)
        return std::unexpected(Error::os("landlock_create_ruleset", errno));
    for (const PathRule& rule : paths)
        VMM_TRY(add_path(rules.get(), rights.files, rule));
    return Landlock{std::move(rules)};
}

Result<> Landlock::enter() const {
    if (::syscall(SYS_landlock_restrict_self, rules_.get(), 0) != 0)
        return std::unexpected(Error::os("landlock_restrict_self", errno));
    return {};
}

}  // namespace vmm::sandbox
