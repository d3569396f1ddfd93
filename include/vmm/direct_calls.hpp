// SPDX-License-Identifier: Apache-2.0
// System calls for data paths.
//
// read(), write() and their kin are cancellation points, which glibc arms and disarms in each call,
// though nobody here cancels a thread: some 300 counted instructions of a 4 KiB disk request.
// syscall() is none. Sanitizers see only the former, and get those. Results and errno as ever.
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VMM_CALLS_ARE_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define VMM_CALLS_ARE_WATCHED 1
#endif
#endif

namespace vmm::direct {

#ifdef VMM_CALLS_ARE_WATCHED

using ::pread;
using ::pwrite;
using ::read;
using ::write;

#else

inline ssize_t read(int fd, void* to, std::size_t size) noexcept {
    return ::syscall(SYS_read, fd, to, size);
}
inline ssize_t write(int fd, const void* from, std::size_t size) noexcept {
    return ::syscall(SYS_write, fd, from, size);
}
inline ssize_t pread(int fd, void* to, std::size_t size, off_t at) noexcept {
    return ::syscall(SYS_pread64, fd, to, size, at);
}
inline ssize_t pwrite(int fd, const void* from, std::size_t size, off_t at) noexcept {
    return ::syscall(SYS_pwrite64, fd, from, size, at);
}

#endif

}  // namespace vmm::direct
