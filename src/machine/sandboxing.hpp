// SPDX-License-Identifier: Apache-2.0
// What a machine's process still needs of the host once the machine is made, and the door that
// closes then.
#pragma once

#include <vector>

#include "config/vm_config.hpp"
#include "machine/consoles.hpp"
#include "sandbox/landlock.hpp"
#include "sandbox/options.hpp"
#include "vmm/error.hpp"

namespace vmm::machine {

/// The paths that a running machine still uses, each once: folders of what it removes when it ends,
/// and what landlock_rules allows.
std::vector<sandbox::PathRule> paths_in_use(const VmConfig& config,
                                            const sandbox::Options& sandbox);

/// The threads that write to files, ended where they would keep what the main thread gives up, and
/// made when this goes: by then the guest should run, which needs the processors more.
class WritersPaused {
public:
    explicit WritersPaused(const sandbox::Options& sandbox);
    ~WritersPaused();
    WritersPaused(const WritersPaused&) = delete;
    WritersPaused& operator=(const WritersPaused&) = delete;

    /// False: one waits for its file, and goes on with all rights.
    bool all() const { return all_; }

private:
    bool needed_;
    bool all_ = true;
};

/// Once everything is open, before there are vCPUs. Says what is active in the log, and with
/// --sandbox-report to the user.
Result<> enter_sandbox(const VmConfig& config, const sandbox::Options& sandbox, const Tell& tell,
                       const WritersPaused& paused);

}  // namespace vmm::machine
