// SPDX-License-Identifier: Apache-2.0
// Preloaded into vmm: a thread whose name begins with $VMM_BREAK_INTO behaves as if somebody had
// taken it over, and tries to open a file whenever it calls one of these.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

namespace {

bool is_taken_over() {
    const char* const wanted = std::getenv("VMM_BREAK_INTO");
    std::array<char, 16> name{};
    return wanted != nullptr && ::prctl(PR_GET_NAME, name.data()) == 0 &&
           std::string_view{name.data()}.starts_with(wanted);
}

void try_it() {
    if (is_taken_over())
        ::close(static_cast<int>(::syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY)));
}

template <class Function>
Function next(const char* name) {
    return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" int ioctl(int fd, unsigned long request, void* argument) {
    static const auto real = next<int (*)(int, unsigned long, void*)>("ioctl");
    try_it();
    return real(fd, request, argument);
}

extern "C" int epoll_wait(int fd, epoll_event* events, int most, int timeout) {
    static const auto real = next<int (*)(int, epoll_event*, int, int)>("epoll_wait");
    try_it();
    return real(fd, events, most, timeout);
}
