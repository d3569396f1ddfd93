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
    /// Refuses if another machine has the file, or if it cannot be made. Until write() it lies
    /// beside the path, under another name.
    static Result<PidFile> prepare(std::string path);

    PidFile(PidFile&& other) noexcept = default;
    PidFile& operator=(PidFile&&) = delete;

    /// Once, when the guest runs.
    Result<> write();

private:
    PidFile(std::string path, UniqueFd fd, std::unique_ptr<OwnFile> aside)
        : path_{std::move(path)}, fd_{std::move(fd)}, aside_{std::move(aside)} {}

    std::string path_;
    UniqueFd fd_;                     ///< holds the lock once it has been written
    std::unique_ptr<OwnFile> aside_;  ///< beside `path_`, until then
    std::unique_ptr<OwnFile> file_;   ///< from then on
};

}  // namespace vmm::cli
