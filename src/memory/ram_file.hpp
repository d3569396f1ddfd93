// SPDX-License-Identifier: Apache-2.0
// The file behind guest RAM (`--memory file=PATH`).
//
// It is RAM and not storage: locked for one machine, all of its space reserved before the guest
// starts (a file system that is full later would be a SIGBUS in the middle of the guest), zero
// whenever a machine starts on it. A start that fails leaves it as it was.
// Units: bytes. Threads: one at a time, the machine's.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>

#include "vmm/error.hpp"
#include "vmm/last_step.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

class RamFile {
public:
    /// Makes the file if there is none. A longer one stays so, and what lies behind `size` in it is
    /// left alone.
    static Result<RamFile> open(const std::string& path, std::uint64_t size);
    RamFile(RamFile&&) noexcept = default;
    RamFile& operator=(RamFile&&) = delete;
    ~RamFile();

    int fd() const noexcept { return fd_.get(); }
    /// Of hugetlbfs, which maps whole huge pages only; else 0.
    std::uint64_t huge_page_size() const noexcept { return huge_page_size_; }
    /// Nothing but zeros, because it was made or made longer a moment ago.
    bool is_new() const noexcept { return state_ != State::Old; }

    /// False if the file system cannot do it without bytes being written. The space stays reserved.
    Result<bool> clear();

    /// The machine has started: from now on the file outlives it.
    void keep() noexcept {
        kept_ = true;
        if (created_)
            created_->keep();
    }

private:
    enum class State : std::uint8_t {
        Old,      ///< with something in it
        Grown,    ///< was empty
        Created,  ///< was not there
    };

    RamFile(std::string path, std::uint64_t size) : path_{std::move(path)}, size_{size} {}

    Result<> open_and_lock();
    Result<> open_once();
    Result<> check_length(const struct stat& status);
    Result<> find_out_file_system();
    Result<> check_room(const struct stat& status) const;
    Result<> make_long();
    Result<> reserve() const;
    Error no_room(Error error) const;

    std::string path_;
    std::uint64_t size_;
    UniqueFd fd_;
    UniqueFd lock_;
    State state_ = State::Old;
    std::unique_ptr<OwnFile> created_;  // until it is kept
    std::uint64_t huge_page_size_ = 0;
    bool in_memory_ = false;  // tmpfs
    bool kept_ = false;
};

/// Makes [0, size) of a memfd zero and gives its pages back to the host; false if that cannot be
/// done here.
bool punch(int fd, std::uint64_t size) noexcept;

}  // namespace vmm
