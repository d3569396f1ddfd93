#include "vmm/event_fd.hpp"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace vmm {
namespace {

// read() and write() are cancellation points: glibc arms and disarms that in each call, though
// nobody here cancels a thread. syscall() is none; but ThreadSanitizer sees only the former.
#ifdef __SANITIZE_THREAD__
constexpr auto& read_count = ::read;
constexpr auto& write_count = ::write;
#else
long read_count(int fd, void* count, std::size_t size) {
    return ::syscall(SYS_read, fd, count, size);
}
long write_count(int fd, const void* count, std::size_t size) {
    return ::syscall(SYS_write, fd, count, size);
}
#endif

}  // namespace

Result<EventFd> EventFd::create() {
    return make(EFD_NONBLOCK);
}

Result<EventFd> EventFd::create_waitable() {
    return make(0);
}

Result<EventFd> EventFd::make(int flags) {
    const int fd = ::eventfd(0, EFD_CLOEXEC | flags);
    if (fd < 0)
        return std::unexpected(Error::os("eventfd", errno));
    return EventFd{UniqueFd{fd}};
}

void EventFd::signal() const noexcept {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then whoever waits is awake already.
    [[maybe_unused]] const auto written = write_count(fd_.get(), &one, sizeof one);
}

bool EventFd::drain() const noexcept {
    std::uint64_t count = 0;
    const iovec to{.iov_base = &count, .iov_len = sizeof count};
    return ::preadv2(fd_.get(), &to, 1, -1, RWF_NOWAIT) == sizeof count;
}

void EventFd::wait() const noexcept {
    std::uint64_t count = 0;
    while (read_count(fd_.get(), &count, sizeof count) < 0 && errno == EINTR) {
    }
}

}  // namespace vmm
