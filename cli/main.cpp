// SPDX-License-Identifier: Apache-2.0
// The program: arguments in, exit code out. The outermost place for errors and exceptions.
#include <csignal>
#include <exception>
#include <new>
#include <span>

#include "cli/arguments.hpp"
#include "cli/config_command.hpp"
#include "cli/exit_code.hpp"
#include "cli/help.hpp"
#include "cli/print.hpp"
#include "cli/run_command.hpp"
#include "config/inherited_fds.hpp"
#include "sandbox/namespaces.hpp"
#include "sandbox/seccomp.hpp"
#include "vmm/error_record.hpp"
#include "vmm/faults.hpp"
#include "vmm/log.hpp"
#include "vmm/log_name.hpp"
#include "vmm/signals.hpp"
#include "vmm/standard_fds.hpp"
#include "vmm/text.hpp"

namespace vmm::cli {
namespace {

using Id = Command::Id;

Result<> start_log(const Arguments& arguments, const std::string& machine = {}) {
    log::name_records(machine);
    VMM_TRY(log::configure(arguments.log));
    if (!arguments.log.file.empty() && arguments.command == Id::Run)
        print_error(cat("vmm: the log is in ", arguments.log.file, "\n"));
    return {};
}

Result<int> run(const Arguments& arguments) {
    own_signals();
    const auto config = VMM_TRY(load_valid(arguments));
    VMM_TRY(config::check_inherited_fds(config));  // before any of ours is open
    if (arguments.sandbox.mode == sandbox::Mode::Strict)
        VMM_TRY(sandbox::prepare_namespaces());  // before there is another thread
    auto filters = sandbox::confine_threads(arguments.sandbox.seccomp);
    if (!filters && arguments.sandbox.mode == sandbox::Mode::Strict)
        return std::unexpected(std::move(filters.error()).context("--sandbox strict"));
    VMM_TRY(start_log(arguments,
                      config.name));  // not before it is sure that the log is none of the files
    if (!filters)
        log::warn("no filters of system calls: ", record_of(filters.error()));
    warn_about(config);
    return run_machine(config, arguments.pid_file, arguments.sandbox);
}

Result<int> dispatch(const Arguments& arguments) {
    if (arguments.version) {
        VMM_TRY(print(version_line()));
        return to_int(ExitCode::Success);
    }
    if (arguments.help) {
        VMM_TRY(print(help_page(arguments.command)));
        return to_int(ExitCode::Success);
    }
    if (arguments.command == Id::None) {
        print_error(help_page(Id::None));
        print_error("\n");
        return std::unexpected(
            Error{ErrorKind::Config, "no command is given: vmm does not know what to do"}.hint(
                "Start a guest with vmm run --kernel FILE; vmm run --help lists its flags."));
    }
    if (arguments.command == Id::Run)
        return run(arguments);
    VMM_TRY(start_log(arguments));
    VMM_TRY(config_command(arguments));
    return to_int(ExitCode::Success);
}

Result<int> execute(std::span<const char* const> args) {
    const auto arguments = VMM_TRY(parse_arguments(args));
    return dispatch(arguments);
}

int main_of(std::span<const char* const> args) {
    const FaultStack stack;
    open_standard_fds();
    std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone is an error of write(2), not our end
    std::signal(SIGXFSZ, SIG_IGN);  // and so is a file at the limit of ulimit -f
    std::signal(SIGUSR1, SIG_IGN);  // of no meaning before a machine is there to take it
    const auto code = execute(args);
    if (!code)
        print_error(wants_places(args) ? code.error().report_with_places() : code.error().report());
    finish_messages();
    return code ? *code : exit_code_of(code.error().kind());
}

}  // namespace
}  // namespace vmm::cli

int main(int argc, char** argv) {
    try {
        const std::span<const char* const> args{argv, static_cast<std::size_t>(argc)};
        return vmm::cli::main_of(args.subspan(argc > 0 ? 1 : 0));
    } catch (const std::bad_alloc&) {
        vmm::cli::print_error(
            "error: vmm has no memory left for itself\n  help: Raise the limit on its address "
            "space (ulimit -v) or on its control group's memory.\n");
    } catch (const std::exception& failure) {
        vmm::cli::print_error("error: ");
        vmm::cli::print_error(failure.what());
        vmm::cli::print_error("\n");
    } catch (...) {
        vmm::cli::print_error("error: an unknown exception\n");
    }
    return vmm::cli::to_int(vmm::cli::ExitCode::HostFailed);
}
