// SPDX-License-Identifier: Apache-2.0
#include "sandbox/confinement.hpp"

#include <unistd.h>

#include <utility>

#include "sandbox/namespaces.hpp"
#include "sandbox/privileges.hpp"
#include "vmm/sanitized.hpp"
#include "vmm/text.hpp"

namespace vmm::sandbox {
namespace {

// They all look alike from here: profiles of containers that are older than Landlock refuse it.
constexpr std::string_view kNoLandlock =
    "this kernel has no Landlock, it is switched off, or a container forbids it";

// A sanitizer reads /proc/self/maps and the program itself when it has something to report.
std::vector<PathRule> with_those_of_sanitizers(std::span<const PathRule> paths) {
    std::vector<PathRule> all{paths.begin(), paths.end()};
    if (kSanitized)
        all.push_back({"/", PathAccess::Read, "sanitizer"});
    return all;
}

template <class Texts>
std::string joined(const Texts& texts, std::string_view between) {
    std::string all;
    for (const auto& text : texts)
        all += cat(all.empty() ? "" : between, text);
    return all;
}

std::string_view text_of(PathAccess access) {
    switch (access) {
        case PathAccess::Read:
            return "read";
        case PathAccess::Write:
            return "write";
        case PathAccess::ReadWrite:
            return "read and write";
        case PathAccess::Remove:
            return "remove files";
        case PathAccess::Publish:
            return "make and remove files";
    }
    return {};
}

/// As access(2) has it.
int mode_of(PathAccess access) {
    switch (access) {
        case PathAccess::Read:
            return R_OK;
        case PathAccess::Write:
            return W_OK;
        case PathAccess::ReadWrite:
            return R_OK | W_OK;
        case PathAccess::Remove:
        case PathAccess::Publish:
            break;
    }
    return W_OK | X_OK;
}

std::vector<Reach> reaches_of(std::span<const PathRule> paths) {
    std::vector<Reach> reaches;
    for (const PathRule& rule : paths)
        reaches.push_back({rule.path, mode_of(rule.access)});
    return reaches;
}

std::vector<std::string> names_of(std::span<const PathRule> paths) {
    std::vector<std::string> names;
    for (const PathRule& rule : paths)
        names.push_back(rule.path);
    return names;
}

Error not_strict(std::string_view what, std::string advice) {
    return Error{ErrorKind::Unsupported, cat("--sandbox strict: ", what)}.hint(std::move(advice));
}

Result<> check_strict(int version) {
    if (version == 0)
        return std::unexpected(not_strict(
            kNoLandlock,
            "Use Linux 6.12 or later with landlock in its list of security modules (the kernel's "
            "parameter lsm=) and in the container's seccomp profile, or --sandbox on."));
    if (const auto gaps = landlock_gaps(version); !gaps.empty())
        return std::unexpected(not_strict(cat("Landlock of this kernel (ABI ", version,
                                              ") does not restrict ", joined(gaps, ", ")),
                                          "Use Linux 6.12 or later, or --sandbox on."));
    return {};
}

/// Something that this host does not let us do, as a container may: told, or with Strict an error.
Result<> tolerate(Mode mode, Error why, std::string_view what, Report& report) {
    if (mode == Mode::Strict)
        return std::unexpected(std::move(why).context("--sandbox strict"));
    report.missing.push_back(cat(what, " (", why.one_line(), ")"));
    return {};
}

Result<> give_up_privileges(const Confinement& how, Report& report) {
    if (auto done = forbid_new_privileges(); done)
        report.active.emplace_back("no new privileges");
    else
        VMM_TRY(tolerate(how.mode, std::move(done).error(), "no new privileges", report));
    if (auto kept = drop_capabilities(reaches_of(how.paths)); kept)
        report.active.push_back(kept->empty()
                                    ? "no capabilities"
                                    : cat("no capabilities but DAC_OVERRIDE, because of ", *kept));
    else
        VMM_TRY(tolerate(how.mode, std::move(kept).error(), "no capabilities", report));
    return {};
}

Result<> enter_landlock(const Confinement& how, Result<Landlock> landlock, Report& report) {
    if (landlock)
        if (auto entered = landlock->enter(); !entered)
            landlock = std::unexpected(std::move(entered).error());
    if (!landlock)
        return tolerate(how.mode, std::move(landlock).error(), "Landlock", report);
    report.active.push_back(cat("Landlock ABI ", how.landlock));
    for (const auto& gap : landlock_gaps(how.landlock))
        report.missing.push_back(cat("Landlock for ", gap));
    for (const PathRule& rule : how.paths)
        report.active.push_back(cat("allowed in ", rule.path, ": ", text_of(rule.access)));
    return {};
}

}  // namespace

std::string Report::one_line() const {
    return cat("sandbox: ", active.empty() ? "none" : joined(active, ", "),
               missing.empty() ? "" : "; missing: ", joined(missing, ", "));
}

std::string Report::page() const {
    std::string text = "sandbox:";
    for (const auto& line : active)
        text += cat("\n  ", line);
    for (const auto& line : missing)
        text += cat("\n  missing: ", line);
    if (active.empty() && missing.empty())
        text += "\n  off";
    return text;
}

Result<Report> confine(const Confinement& how) {
    Report report;
    if (how.mode == Mode::Off)
        return report;
    if (how.mode == Mode::Strict) {
        VMM_TRY(check_strict(how.landlock));
        VMM_TRY(enter_namespaces(names_of(how.paths)));
        report.active.emplace_back("namespaces: mount (an empty root), ipc, uts, net");
    }
    if (how.landlock == 0) {
        VMM_TRY(give_up_privileges(how, report));
        report.missing.push_back(cat("Landlock (", kNoLandlock, ")"));
        return report;
    }
    // Its paths may need the capabilities.
    auto landlock = Landlock::prepare(how.landlock, with_those_of_sanitizers(how.paths));
    if (!landlock && landlock.error().kind() == ErrorKind::Config)
        return std::unexpected(std::move(landlock).error());
    VMM_TRY(give_up_privileges(how, report));
    VMM_TRY(enter_landlock(how, std::move(landlock), report));
    return report;
}

}  // namespace vmm::sandbox
