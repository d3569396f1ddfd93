// SPDX-License-Identifier: Apache-2.0
// The file of --pid-file, by which scripts find the process of one machine.
//
// It is there exactly while the machine runs: it appears with its content, locked (flock), once the
// guest has started, and is removed at the end. What a killed machine left behind is not locked;
// the next start with the same name removes it. A file that holds anything but a process id is left
// alone. Threads: none of its own; use it from one.
#pragma once

#include <memory>
#include <string>

#include "vmm/error.hpp"
#include "vmm/last_step.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::cli {

class PidFile {
public:
    /// Refuses if another machine has the file, or if it could not be written later.
    static Result<PidFile> prepare(std::string path);

    PidFile(PidFile&& other) noexcept = default;
    PidFile& operator=(PidFile&&) = delete;

    /// Once, when the guest runs.
    Result<> write();

private:
    explicit PidFile(std::string path) : path_{std::move(path)} {}

    std::string path_;
    UniqueFd fd_;                    ///< when it has been written; holds the lock
    std::unique_ptr<OwnFile> file_;  ///< then
};

}  // namespace vmm::cli
