// SPDX-License-Identifier: Apache-2.0
#include "cli/config_command.hpp"

#include "cli/print.hpp"
#include "config/command_line.hpp"
#include "config/file_clashes.hpp"
#include "config/json_write.hpp"
#include "config/load.hpp"
#include "config/reference.hpp"
#include "config/validate.hpp"
#include "vmm/log.hpp"

namespace vmm::cli {
namespace {

using Id = Command::Id;

/// The command line is shown as the guest will get it, so that what is added can be seen.
Result<> show(const Arguments& arguments) {
    auto config = VMM_TRY(config::load(arguments.config_file, arguments.flags));
    config.payload.cmdline = config::effective_cmdline(config);
    return print(VMM_TRY(config::to_json(config)));
}

Result<> check(const Arguments& arguments) {
    warn_about(VMM_TRY(load_valid(arguments)));
    return print("ok\n");
}

}  // namespace

Result<VmConfig> load_valid(const Arguments& arguments) {
    auto config = VMM_TRY(config::load(arguments.config_file, arguments.flags));
    VMM_TRY(config::validate(config));
    VMM_TRY(config::check_files(
        config,
        {.config = arguments.config_file, .log = arguments.log.file, .pid = arguments.pid_file}));
    return config;
}

void warn_about(const VmConfig& config) {
    for (const auto& warning : config::warnings(config))
        log::warn(warning);
}

Result<> config_command(const Arguments& arguments) {
    switch (arguments.command) {
        case Id::ConfigShow:
            return show(arguments);
        case Id::ConfigCheck:
            return check(arguments);
        case Id::ConfigSchema:
            return print(config::json_schema());
        case Id::ConfigReference:
            return print(config::reference_page());
        default:
            return std::unexpected(Error{ErrorKind::Config, "`vmm config` needs a command"}.hint(
                "Write vmm config show, check, schema or reference; `vmm config --help` says "
                "more."));
    }
}

}  // namespace vmm::cli
