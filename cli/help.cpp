// SPDX-License-Identifier: Apache-2.0
#include "cli/help.hpp"

#include "config/reference.hpp"
#include "vmm/text.hpp"

namespace vmm::cli {
namespace {

using Id = Command::Id;

constexpr std::string_view kGlobalHelp =
    R"(Flags of every command, before or after it:
  -l, --log-level LEVEL       trace, debug, info, warn, error or off
                              [default: warn; info when the log goes to a file]
      --log-file FILE         Write the log to this file, not to standard error
      --log-to-file           Write the log to vmm-PID.log in the current directory
  -v, --verbose               Errors with their places in the source
  -V, --version               Print the version
  -h, --help                  Print this
)";

constexpr std::string_view kRunNotes =
    R"(
Sizes are bytes, or take K, M, G, T. Structured flags take value,key=value,switch; the first value
may stand without its key. Flags go over the file of --config. On a terminal, Ctrl-A X quits and
Ctrl-A H lists the other keys. SIGTERM presses the power button, SIGUSR1 looks at the sizes of the
disks again. docs/configuration.md has every key, docs/running.md what a running machine can be told,
docs/exit-codes.md what the exit code means.
)";

std::string usage(const Command& command) {
    return cat("Usage: vmm ", command.name, command.takes_machine ? " [--config FILE] [FLAGS]" : "",
               "\n\n", command.summary, ".\n");
}

std::string command_list(std::string_view above) {
    std::string text = "\nCommands:\n";
    for (const Command& command : commands()) {
        if (command.summary.empty() || !command.name.starts_with(above) || command.name == above)
            continue;
        std::string line = cat("  ", command.name);
        line.resize(30, ' ');
        text += cat(line, command.summary, "\n");
    }
    return text;
}

}  // namespace

std::string help_page(Id id) {
    const Command& what = command(id);
    if (id == Id::None)
        return cat("vmm runs Linux guests on KVM: one process, one virtual machine.\n\n",
                   "Usage: vmm COMMAND [FLAGS]\n", command_list(""), "\n", kGlobalHelp,
                   "\n`vmm COMMAND --help` says more. To start: vmm run --kernel vmlinuz "
                   "--initramfs rootfs.cpio\n");
    if (id == Id::Config)
        return cat("Usage: vmm config COMMAND [FLAGS]\n\n", what.summary, ".\n",
                   command_list("config"), "\n", kGlobalHelp);
    if (!what.takes_machine)
        return cat(usage(what), "\n", kGlobalHelp);
    return cat(
        usage(what),
        "\nThe machine:\n      --config FILE           Read the machine from this JSON "
        "file; - is standard "
        "input\n"
        "      --pid-file PATH         While the guest runs, this file holds the process id\n"
        "      --sandbox MODE          on, off, or strict: whatever the host lacks is an error\n"
        "                              [default: on]\n"
        "      --seccomp MODE          on, log or off: filters of system calls\n"
        "                              [default: on; off with --sandbox off]\n"
        "      --sandbox-report        Print what the sandbox consists of, and go on\n",
        config::flags_help(), "\n", kGlobalHelp, kRunNotes);
}

std::string version_line() {
    return "vmm " VMM_VERSION "\n";
}

}  // namespace vmm::cli
