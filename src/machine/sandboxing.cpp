// SPDX-License-Identifier: Apache-2.0
#include "machine/sandboxing.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "sandbox/confinement.hpp"
#include "vmm/log.hpp"
#include "vmm/message_stream.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm::machine {
namespace {

using sandbox::PathAccess;
using sandbox::PathRule;

// The disk that a log is on may be slow, and nothing is lost meanwhile.
constexpr std::chrono::seconds kWritersAtMost{2};

std::string folder_of(std::string_view path) {
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos)
        return ".";
    return std::string{path.substr(0, std::max<std::size_t>(slash, 1))};
}

void add_folder(std::vector<PathRule>& rules, std::string_view path, PathAccess access) {
    if (path.empty())
        return;
    auto folder = folder_of(path);
    const auto same = std::ranges::find(rules, folder, &PathRule::path);
    if (same == rules.end())
        rules.push_back({std::move(folder), access, "sandbox"});
    else if (access == PathAccess::Publish)
        same->access = access;
}

template <class Channel>
void add_channel(std::vector<PathRule>& rules, const Channel& channel) {
    if (channel.mode == ConsoleMode::Socket)
        add_folder(rules, channel.socket, PathAccess::Remove);
    if (channel.mode == ConsoleMode::Pty)
        add_folder(rules, channel.link, PathAccess::Remove);
}

PathAccess access_of(LandlockAccess access) {
    switch (access) {
        case LandlockAccess::Read:
            return PathAccess::Read;
        case LandlockAccess::Write:
            return PathAccess::Write;
        case LandlockAccess::ReadWrite:
            break;
    }
    return PathAccess::ReadWrite;
}

Error writer_is_stuck() {
    return Error{ErrorKind::Os,
                 "--sandbox strict: the thread that writes the log cannot be confined, because it "
                 "waits for the file system that the log is on"}
        .hint("Name another file with --log-file, or leave it out.");
}

Result<sandbox::Report> confine(const VmConfig& config, const sandbox::Options& options,
                                const WritersPaused& paused) {
    const auto paths = paths_in_use(config, options);
    if (!paused.all() && options.mode == sandbox::Mode::Strict)
        return std::unexpected(writer_is_stuck());
    auto report = VMM_TRY(sandbox::confine({.mode = options.mode, .paths = paths}));
    if (!paused.all())
        report.missing.emplace_back("the thread that writes the log, which waits for its file");
    return report;
}

}  // namespace

std::vector<PathRule> paths_in_use(const VmConfig& config, const sandbox::Options& sandbox) {
    std::vector<PathRule> rules;
    add_channel(rules, config.serial);
    add_channel(rules, config.console);
    for (const auto& port : config.console_ports)
        add_channel(rules, port);
    add_folder(rules, config.memory.file, PathAccess::Remove);  // of a machine that does not start
    for (const auto& path : sandbox.published)
        add_folder(rules, path, PathAccess::Publish);
    for (std::size_t i = 0; i < config.landlock_rules.size(); ++i) {
        const auto& [path, access] = config.landlock_rules[i];
        rules.push_back({path, access_of(access.value_or(LandlockAccess::Read)),
                         cat("landlock_rules[", i, "] (--landlock-rules)")});
    }
    return rules;
}

// With standard error opened before: what it writes to nobody may open later.
WritersPaused::WritersPaused(const sandbox::Options& sandbox)
    : needed_{sandbox.mode != sandbox::Mode::Off || threads_are_confined()} {
    if (!needed_)
        return;
    standard_error();
    all_ = MessageStream::pause_writers(kWritersAtMost);
}

WritersPaused::~WritersPaused() {
    if (needed_)
        MessageStream::resume_writers();
}

Result<> enter_sandbox(const VmConfig& config, const sandbox::Options& sandbox, const Tell& tell,
                       const WritersPaused& paused) {
    sandbox::Report report;
    if (sandbox.mode != sandbox::Mode::Off) {
        report = VMM_TRY(confine(config, sandbox, paused));
    } else if (!config.landlock_rules.empty()) {
        log::warn("landlock_rules (--landlock-rules) has no effect with --sandbox off");
    }
    if (threads_are_confined()) {
        report.active.push_back(
            cat("a filter of system calls for each thread",
                sandbox.seccomp == sandbox::Seccomp::Log ? ", which logs" : ""));
    } else if (sandbox.seccomp != sandbox::Seccomp::Off) {
        report.missing.emplace_back("filters of system calls");
    }
    log::info(report.one_line());
    if (sandbox.report)
        tell(report.page());
    return {};
}

}  // namespace vmm::machine
