// SPDX-License-Identifier: Apache-2.0
// The one place where an ioctl's -1 becomes an Error, and where tests stand in for the kernel.
// Private to hv/kvm.
#pragma once

#include <cerrno>
#include <concepts>
#include <cstdint>

#include "vmm/error.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::kvm {

/// Whoever answers ioctls: Linux, or a recording in a test. Threads: any.
class Kernel {
public:
    virtual ~Kernel() = default;

    /// The result, or -errno.
    virtual int ioctl(int fd, unsigned long number, std::uintptr_t argument) noexcept = 0;

    static Kernel& host() noexcept;
};

/// An ioctl's number, its name and the place that asked for it, so that an error can say all three.
struct Request {
    unsigned long number = 0;
    const char* name = "";
    Error::Where where = Error::Where::current();  // the place of the {}, not of call()
};
// clang-format off
#define VMM_REQUEST(number) ::vmm::kvm::Request{number, #number}
// The same for a structure with a variable tail; see flex_array.hpp.
#define VMM_REQUEST_SIZED(number, size) ::vmm::kvm::Request{::vmm::kvm::with_size(number, size), #number}
// clang-format on

/// A descriptor that understands KVM's ioctls: the system's, a VM's or a vCPU's.
class Handle {
public:
    explicit Handle(UniqueFd fd, Kernel& kernel = Kernel::host())
        : fd_{std::move(fd)}, kernel_{&kernel} {}

    /// The result, or -errno; for callers who expect a refusal.
    int attempt(unsigned long number, std::integral auto argument) const noexcept {
        return kernel_->ioctl(fd_.get(), number, static_cast<std::uintptr_t>(argument));
    }
    template <class T>
    int attempt(unsigned long number, T* argument) const noexcept {
        return kernel_->ioctl(fd_.get(), number, reinterpret_cast<std::uintptr_t>(argument));
    }

    /// Arg is an integer or a pointer to the ioctl's structure.
    template <class Arg>
    Result<int> call(const Request& request, Arg argument) const {
        const int value = attempt(request.number, argument);
        if (value < 0)
            return std::unexpected(Error::os(request.name, -value, request.where));
        return value;
    }

    int fd() const noexcept { return fd_.get(); }

    /// What this one has made, of the same kernel.
    Handle made(UniqueFd fd) const { return Handle{std::move(fd), *kernel_}; }

private:
    UniqueFd fd_;
    Kernel* kernel_;
};

}  // namespace vmm::kvm
