// SPDX-License-Identifier: Apache-2.0
#include "vmm/restricted_ring.hpp"

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "vmm/assert.hpp"

namespace vmm {
namespace {

// Debian 12's liburing has functions for these that its shared library does not export.
int change_ring(int ring, unsigned what, const void* argument, std::size_t count) noexcept {
    return ::syscall(SYS_io_uring_register, ring, what, argument, count) == 0 ? 0 : errno;
}

}  // namespace

int restrict_ring(int ring, std::span<const std::uint8_t> operations) noexcept {
    VMM_ASSERT(operations.size() <= kMostRingOperations);
    std::array<io_uring_restriction, kMostRingOperations + 1> rules{};
    rules[0].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
    rules[0].sqe_flags = IOSQE_FIXED_FILE;
    std::size_t count = 1;
    for (const std::uint8_t operation : operations) {
        rules[count].opcode = IORING_RESTRICTION_SQE_OP;
        rules[count].sqe_op = operation;
        ++count;
    }
    return change_ring(ring, IORING_REGISTER_RESTRICTIONS, rules.data(), count);
}

int enable_ring(int ring) noexcept {
    return change_ring(ring, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
}

}  // namespace vmm
