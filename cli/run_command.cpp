#include "cli/run_command.hpp"

#include "config/validate.hpp"
#include "vmm/log.hpp"

namespace vmm::cli {

Result<int> run_machine(const VmConfig& config) {
    if (const auto cmdline = config::effective_cmdline(config); cmdline != config.payload.cmdline)
        log::info("kernel command line, with what auto_cmdline adds: ", cmdline);
    return std::unexpected(Error{ErrorKind::Unsupported, "running a machine is not built yet"});
}

}  // namespace vmm::cli
