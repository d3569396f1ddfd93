#include "cli/run_command.hpp"

#include <cerrno>
#include <optional>
#include <utility>

#include "exit_code.hpp"
#include "machine/machine.hpp"
#include "pid_file.hpp"
#include "print.hpp"
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
        case machine::Ending::Signalled:
            return exit_code_of_signal(outcome.value);
        case machine::Ending::TestExit:
            break;
    }
    return outcome.value;
}

}  // namespace

Error explained(Error error) {
    if (error.os_error() != EMFILE)
        return error;
    constexpr const char* kAdvice =
        "Raise the hard limit of open files (ulimit -Hn, a systemd unit's LimitNOFILE=), or give "
        "the machine fewer devices and queues.";
    return std::move(error).as(ErrorKind::Os).hint(kAdvice);
}

Result<int> run_machine(const VmConfig& config, const std::string& pid_file) {
    std::optional<PidFile> process_id;
    if (!pid_file.empty())
        process_id.emplace(VMM_TRY(PidFile::prepare(pid_file)));
    const machine::Started started = [&]() -> Result<> {
        return process_id ? process_id->write() : Result<>{};
    };
    const machine::Tell tell = [](std::string_view text) { print_error(cat("vmm: ", text, "\n")); };
    auto outcome = machine::run(config, tell, started);
    if (!outcome)
        return std::unexpected(explained(std::move(outcome).error()));
    if (!outcome->message.empty())
        tell(outcome->message);
    return exit_code_of(*outcome);
}

}  // namespace vmm::cli
