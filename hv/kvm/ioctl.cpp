// SPDX-License-Identifier: Apache-2.0
#include "kvm/ioctl.hpp"

#include <sys/ioctl.h>

namespace vmm::kvm {
namespace {

class Linux final : public Kernel {
public:
    int ioctl(int fd, unsigned long number, std::uintptr_t argument) noexcept override {
        for (;;) {
            const int value = ::ioctl(fd, number, argument);
            if (value >= 0)
                return value;
            if (errno != EINTR)  // KVM_CREATE_VM gives up when a signal is pending
                return -errno;
        }
    }
};

}  // namespace

Kernel& Kernel::host() noexcept {
    static Linux host;
    return host;
}

}  // namespace vmm::kvm
