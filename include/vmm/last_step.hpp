// SPDX-License-Identifier: Apache-2.0
// What has to be put right on the host however the process ends: a terminal in raw mode, the file
// of a socket.
//
// Destructors do that in an orderly end. Where there is none (a fault, a signal during start-up),
// run_all() does it from the signal handler. Not on SIGKILL, which no process sees coming.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>

#include "vmm/static_list.hpp"

namespace vmm {

/// Threads: any.
class LastStep : public Listed<LastStep> {
public:
    /// Runs in a signal handler: async-signal-safe calls only. Doing it twice must do no harm.
    using Do = void (*)(const void* what) noexcept;

    LastStep(Do step, const void* what) noexcept : step_{step}, what_{what} { enlist(); }
    ~LastStep() { delist(); }

    /// Async-signal-safe. The newest first.
    static void run_all() noexcept;

private:
    Do step_;
    const void* what_;
};

/// A file that we made at a path (a socket's, a link, a pid file) and that goes when this goes, or
/// when the process ends. Left alone if another file has taken its place.
class OwnFile {
public:
    explicit OwnFile(std::string path);  ///< the file is there
    OwnFile(std::string path, int fd);   ///< the same, where another's may be there by now
    ~OwnFile();
    OwnFile(const OwnFile&) = delete;
    OwnFile& operator=(const OwnFile&) = delete;

    /// It stays: the machine has started, and it was made to last.
    void keep() noexcept { kept_ = true; }

    const std::string& path() const noexcept { return path_; }

private:
    static void remove(const void* file) noexcept;

    std::string path_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    std::atomic<bool> kept_{false};
    LastStep step_;
};

}  // namespace vmm
