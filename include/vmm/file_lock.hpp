// SPDX-License-Identifier: Apache-2.0
// Keeps two programs from using one file at once: disks and RAM.
//
// Advisory locks of an open file description (fcntl(2), F_OFD_SETLK): they exclude whoever asks for
// one, over processes and descriptors, and end with the last descriptor of that opening.
#pragma once

#include <cstdint>

#include "vmm/error.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {

enum class FileLock : std::uint8_t {
    Shared,     ///< others may have a shared one; `fd` is open for reading
    Exclusive,  ///< nobody else has one; `fd` is open for writing
};

/// What comes back holds the lock. It is an opening of its own, because the one of `fd` may live on
/// for a while in io_uring or in another process after this one is gone, and whoever starts again
/// right then must get the lock.
/// os_error() is EAGAIN when somebody else holds a lock; anything else means that the file system
/// cannot lock files.
Result<UniqueFd> lock_file(const UniqueFd& fd, FileLock kind);

}  // namespace vmm
