// SPDX-License-Identifier: Apache-2.0
// argv, taken apart: which command, the flags that every command has, and the machine's flags.
//
// The machine's flags come from the configuration's tables; only what the chosen command takes is
// set up. Flags that every command has may stand before or after the command.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/flags.hpp"
#include "sandbox/options.hpp"
#include "vmm/error.hpp"
#include "vmm/log.hpp"

namespace vmm::cli {

/// One row per command; commands() lists them.
struct Command {
    enum class Id { None, Run, Config, ConfigShow, ConfigCheck, ConfigSchema, ConfigReference };

    Id id;
    std::string_view name;     ///< "config show"
    std::string_view summary;  ///< one line for the help; empty: hidden
    bool takes_machine;        ///< --config and the machine's flags
};

std::span<const Command> commands();
const Command& command(Command::Id id);

struct Arguments {
    Command::Id command = Command::Id::None;
    bool help = false;
    bool version = false;
    bool places = false;  ///< -v
    log::Settings log;
    std::string config_file;
    std::string pid_file;
    sandbox::Options sandbox;
    std::vector<config::FlagUse> flags;  ///< in the order in which they were given
};

/// `args` without the program's name.
Result<Arguments> parse_arguments(std::span<const char* const> args);

/// Whether an error in reading the arguments is to be told with places (-v).
bool wants_places(std::span<const char* const> args);

}  // namespace vmm::cli
