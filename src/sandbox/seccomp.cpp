// SPDX-License-Identifier: Apache-2.0
#include "sandbox/seccomp.hpp"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sandbox/filters.hpp"
#include "sandbox/privileges.hpp"
#include "vmm/call_rule.hpp"
#include "vmm/faults.hpp"
#include "vmm/last_step.hpp"
#include "vmm/last_words.hpp"

namespace vmm::sandbox {
namespace {

constexpr int kHostFailed = 1;  // exit code
constexpr std::chrono::milliseconds kPatience{500};

Seccomp g_mode = Seccomp::Off;

/// A filter as it is loaded, with what only the running process knows.
class Loadable {
public:
    Loadable(std::span<const sock_filter> filter, Seccomp mode, std::uint32_t process) noexcept
        : size_{filter.size()} {
        std::ranges::copy(filter, code_.begin());
        for (sock_filter& step : code_) {
            if (step.k == calls::kOwnProcess && step.code == (BPF_JMP | BPF_JEQ | BPF_K))
                step.k = process;
            if (mode == Seccomp::Log && step.k == SECCOMP_RET_TRAP &&
                step.code == (BPF_RET | BPF_K))
                step.k = SECCOMP_RET_LOG;
        }
    }

    // SPEC_ALLOW: kernels before 5.16 would otherwise slow the whole thread down, guest included.
    bool load() noexcept {
        sock_fprog program{.len = static_cast<unsigned short>(size_), .filter = code_.data()};
        return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                         &program) == 0;
    }

private:
    std::array<sock_filter, kLongestFilter> code_{};
    std::size_t size_;
};

// A thread that could not be confined must not meet the guest.
[[noreturn]] void end_unconfined(int why) noexcept {
    LastStep::run_all();
    LastWords words;
    words.add("error: a thread cannot be confined: seccomp: errno ")
        .add(static_cast<unsigned>(why))
        .add("\n  help: --seccomp off goes without filters.\n")
        .say(kPatience);
    ::_exit(kHostFailed);
}

void confine(ThreadKind kind) noexcept {
    Loadable filter{filter_of(kind), g_mode, static_cast<std::uint32_t>(::getpid())};
    if (!filter.load())
        end_unconfined(errno);
}

}  // namespace

Result<> confine_threads(Seccomp mode) {
    if (mode == Seccomp::Off)
        return {};
    std::uint32_t action = mode == Seccomp::Log ? SECCOMP_RET_LOG : SECCOMP_RET_TRAP;
    if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0)
        return std::unexpected(Error::os("seccomp", errno));
    VMM_TRY(forbid_new_privileges());  // threads inherit it
    g_mode = mode;
    name_calls_by(call_name);
    confine_threads_by(confine);
    return {};
}

}  // namespace vmm::sandbox
