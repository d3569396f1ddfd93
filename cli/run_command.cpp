// SPDX-License-Identifier: Apache-2.0
#include "cli/run_command.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "exit_code.hpp"
#include "machine/session.hpp"
#include "pid_file.hpp"
#include "print.hpp"
#include "vmm/last_step.hpp"
#include "vmm/text.hpp"

namespace vmm::cli {
namespace {

int exit_code_of(const machine::Outcome& outcome) {
    switch (outcome.ending) {
        case machine::Ending::PoweredOff:
        case machine::Ending::Quit:
            return to_int(ExitCode::Success);
        case machine::Ending::Reset:
            return to_int(ExitCode::GuestReset);
        case machine::Ending::Panicked:
            return to_int(ExitCode::GuestPanic);
        case machine::Ending::Crashed:
            return to_int(ExitCode::GuestCrash);
        case machine::Ending::HostFailed:
            return to_int(ExitCode::HostFailed);
        case machine::Ending::Signalled:
            return exit_code_of_signal(outcome.value);
        case machine::Ending::TestExit:
            break;
    }
    return outcome.value;
}

// What there is to say of it, and its exit code.
Result<int> ended(machine::Outcome outcome) {
    if (outcome.ending == machine::Ending::HostFailed)
        return std::unexpected(
            Error{ErrorKind::Os, std::move(outcome.message)}.hint(std::move(outcome.advice)));
    if (!outcome.message.empty())
        print_error(cat("vmm: ", outcome.message, "\n"));
    if (!outcome.advice.empty())
        print_error(cat("  help: ", outcome.advice, "\n"));
    return exit_code_of(outcome);
}

// Threads still run, so what destructors would do is left to the last steps.
void leave(machine::Outcome outcome) {
    LastStep::run_all();
    const auto code = ended(std::move(outcome));
    if (!code)
        print_error(code.error().report());
    finish_messages();
    std::_Exit(code ? *code : cli::exit_code_of(code.error().kind()));
}

}  // namespace

Error explained(Error error) {
    constexpr const char* kProcessFiles =
        "Raise the hard limit of open files (ulimit -Hn, a systemd unit's LimitNOFILE=), or give "
        "the machine fewer devices and queues.";
    constexpr const char* kHostFiles =
        "The host as a whole has too many open files: raise fs.file-max (sysctl).";
    rlimit space{};
    switch (error.os_error()) {
        case EMFILE:
            return std::move(error).as(ErrorKind::Os).hint(kProcessFiles);
        case ENFILE:
            return std::move(error).as(ErrorKind::Os).hint(kHostFiles);
        case ENOMEM:
            if (!error.advice().empty() || ::getrlimit(RLIMIT_AS, &space) != 0 ||
                space.rlim_cur == RLIM_INFINITY)
                return error;
            return std::move(error).hint(cat("Raise the limit on address space (ulimit -v, now ",
                                             space.rlim_cur / 1024,
                                             " KiB), or give the machine less."));
        default:
            return error;
    }
}

Result<int> run_machine(const VmConfig& config, const std::string& pid_file,
                        const sandbox::Options& sandbox) {
    std::optional<PidFile> process_id;
    if (!pid_file.empty())
        process_id.emplace(VMM_TRY(PidFile::prepare(pid_file)));
    const machine::Started started = [&](machine::Commands&) -> Result<> {
        return process_id ? process_id->write() : Result<>{};
    };
    const machine::Tell tell = [](std::string_view text) {
        print_at_once(cat("vmm: ", text, "\n"));
    };
    auto confined = sandbox;
    if (!pid_file.empty())
        confined.published.push_back(pid_file);
    auto outcome = machine::run(config, tell, started, leave, confined);
    if (!outcome)
        return std::unexpected(explained(std::move(outcome).error()));
    return ended(std::move(*outcome));
}

}  // namespace vmm::cli
