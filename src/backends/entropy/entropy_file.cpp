// SPDX-License-Identifier: Apache-2.0
#include "backends/entropy/entropy_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "vmm/log.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr const char* kAdvice =
    "Give a random number device such as /dev/urandom or /dev/hwrng, or leave src out.";

class EntropyFile final : public EntropySource {
public:
    EntropyFile(UniqueFd fd, std::string path, EntropySource& fallback)
        : fd_{std::move(fd)}, path_{std::move(path)}, fallback_{fallback} {}

    void fill(std::span<std::byte> out) noexcept override {
        bool waited = false;
        while (!out.empty()) {
            const auto got = ::read(fd_.get(), out.data(), out.size());
            if (got > 0) {
                out = out.subspan(static_cast<std::size_t>(got));
                waited = false;
                continue;
            }
            if (got < 0 && errno == EINTR)
                continue;
            if (got == 0 || errno != EAGAIN) {
                complain(got == 0 ? "it ended" : ::strerrordesc_np(errno));
                break;
            }
            if (!wait(waited)) {
                complain("it is too slow");
                break;
            }
            waited = true;
        }
        if (!out.empty())
            fallback_.fill(out);
    }

private:
    /// False: there is no patience left. `again`: the last wait was for nothing, so this driver
    /// may be one that poll cannot ask (/dev/hwrng).
    bool wait(bool again) noexcept {
        const auto start = SteadyClock::now();
        if (start - window_ > kEntropyWindow) {
            window_ = start;
            waited_ = {};
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(kEntropyPatience - waited_);
        if (left.count() <= 0)
            return false;
        if (again) {
            const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
            ::nanosleep(&pause, nullptr);
        } else {
            pollfd asked{.fd = fd_.get(), .events = POLLIN, .revents = 0};
            // That nothing came in time is found out by reading.
            ::poll(&asked, 1, static_cast<int>(left.count()));
        }
        waited_ += SteadyClock::now() - start;
        return true;
    }
    void complain(const char* why) noexcept {
        if (!std::exchange(complained_, true))
            log::warn(path_, " gives too few random bytes: ", why,
                      "; the kernel's own are used for what is missing");
    }

    UniqueFd fd_;
    const std::string path_;
    EntropySource& fallback_;
    SteadyClock::time_point window_;  // began then
    SteadyClock::duration waited_{};  // since
    bool complained_ = false;
};

std::unexpected<Error> refuse(const std::string& path, const char* what) {
    return std::unexpected(
        Error{ErrorKind::Config, cat("random source ", path, ": ", what)}.hint(kAdvice));
}

std::unexpected<Error> refuse_os(const std::string& path, const char* call, int error) {
    return std::unexpected(Error::os(call, error)
                               .context(cat("random source ", path))
                               .as(ErrorKind::Config)
                               .hint(kAdvice));
}

// What the first bytes tell about a device that is none of chance.
Result<> probe(int fd, const std::string& path) {
    std::array<std::byte, 16> first{};
    const auto got = ::read(fd, first.data(), first.size());
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        return refuse_os(path, "read", errno);
    if (got == 0)
        return refuse(path, "there is nothing in it");
    const bool zero = std::ranges::all_of(first, [](std::byte b) { return b == std::byte{0}; });
    if (got == static_cast<ssize_t>(first.size()) && zero)
        return refuse(path, "it gives zeroes");
    return {};
}

}  // namespace

Result<std::unique_ptr<EntropySource>> open_entropy_file(const std::string& path,
                                                         EntropySource& fallback) {
    // Not blocking: a named pipe that nobody writes must not hold us up either.
    UniqueFd fd{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
    if (!fd)
        return refuse_os(path, "open", errno);
    struct stat found {};
    if (::fstat(fd.get(), &found) != 0)
        return refuse_os(path, "fstat", errno);
    if (S_ISREG(found.st_mode))
        return refuse(path, "a file holds the same bytes at every start");
    if (!S_ISCHR(found.st_mode))
        return refuse(path, "not a character device");
    VMM_TRY(probe(fd.get(), path));
    return std::make_unique<EntropyFile>(std::move(fd), path, fallback);
}

}  // namespace vmm
