// SPDX-License-Identifier: Apache-2.0
#include "config/command_line.hpp"

#include <string_view>

#include "config/board.hpp"
#include "vmm/command_line.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

constexpr std::string_view kNoJitter = "initcall_blacklist=jent_mod_init";

}  // namespace

std::string effective_cmdline(const VmConfig& config) {
    const auto& cmdline = config.payload.cmdline;
    const auto leads_out = [](ConsoleMode mode) {
        return mode != ConsoleMode::Off && mode != ConsoleMode::Null;
    };
    std::string console;
    if (leads_out(config.console.mode))
        console = "console=hvc0";
    if (leads_out(config.serial.mode))
        console = cat("console=", board().serial_console);
    if (!config.payload.auto_cmdline || config.payload.kernel.empty())
        return cmdline;
    // In front: a word behind "--" would go to init, and what the user wrote comes last and wins.
    std::string added;
    if (!console.empty() && !has_word_that_starts(cmdline, "console="))
        added = cat(console, " ");
    // Linux tests its jitter entropy source at each start: a tenth of all that a Debian kernel does
    // before init, for a source that a guest with the host's RDRAND and a seed from us never asks.
    // FIPS mode does ask for it.
    if (!has_word_that_starts(cmdline, kNoJitter) && !has_word_that_starts(cmdline, "fips="))
        added += cat(kNoJitter, " ");
    if (cmdline.empty() && !added.empty())
        added.pop_back();
    return added + cmdline;
}

}  // namespace vmm::config
