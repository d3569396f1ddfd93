// SPDX-License-Identifier: Apache-2.0
#include "vmm/file_lock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/text.hpp"

namespace vmm {

Result<UniqueFd> lock_file(const UniqueFd& fd, FileLock kind) {
    const bool shared = kind == FileLock::Shared;
    UniqueFd holder{
        ::open(cat("/proc/self/fd/", fd.get()).c_str(), O_CLOEXEC | (shared ? O_RDONLY : O_RDWR))};
    if (!holder)  // no /proc
        holder = UniqueFd{::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)};
    struct flock lock {};
    lock.l_type = static_cast<short>(shared ? F_RDLCK : F_WRLCK);
    lock.l_whence = SEEK_SET;
    if (::fcntl(holder.get(), F_OFD_SETLK, &lock) == 0)
        return holder;
    return std::unexpected(Error::os("fcntl(F_OFD_SETLK)", errno == EACCES ? EAGAIN : errno));
}

}  // namespace vmm
