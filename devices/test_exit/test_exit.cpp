// SPDX-License-Identifier: Apache-2.0
#include "test_exit/test_exit.hpp"

namespace vmm {

std::uint64_t TestExit::read(Access) noexcept {
    return kAllOnes;
}

void TestExit::write(Access access, std::uint64_t value) noexcept {
    if (access.offset != 0)
        return;
    switch (access.size) {
        case AccessSize::Byte:
            events_.exit_requested(static_cast<std::uint8_t>(value));
            break;
        case AccessSize::Word:
            events_.exit_requested(static_cast<std::uint16_t>(value));
            break;
        case AccessSize::Dword:
            events_.exit_requested(static_cast<std::uint32_t>(value));
            break;
        case AccessSize::Qword:
            break;
    }
}

}  // namespace vmm
