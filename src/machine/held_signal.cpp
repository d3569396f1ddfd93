// SPDX-License-Identifier: Apache-2.0
#include "machine/held_signal.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace vmm::machine {

Result<HeldSignal> HeldSignal::create(int signal) {
    sigset_t set{};
    ::sigemptyset(&set);
    ::sigaddset(&set, signal);
    if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0)
        return std::unexpected(Error::os("pthread_sigmask", error));
    UniqueFd fd{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (!fd)
        return std::unexpected(Error::os("signalfd", errno));
    return HeldSignal{std::move(fd)};
}

bool HeldSignal::take() const noexcept {
    signalfd_siginfo info{};
    return ::read(fd_.get(), &info, sizeof info) == sizeof info;
}

}  // namespace vmm::machine
