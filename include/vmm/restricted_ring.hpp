// SPDX-License-Identifier: Apache-2.0
// Seccomp does not see what an io_uring is told to do, so the ring itself is restricted: to some
// operations, on files that were registered with it, and it cannot be changed any more.
//
// It is made with IORING_SETUP_R_DISABLED by a thread that may make rings. The thread that enables
// it is the one that it belongs to.
// Spec: io_uring_register(2), IORING_REGISTER_RESTRICTIONS; Linux 5.10.
#pragma once

#include <cstdint>
#include <span>

namespace vmm {

/// At most so many operations.
inline constexpr std::size_t kMostRingOperations = 8;

/// `operations` are numbers of IORING_OP_*; each needs IOSQE_FIXED_FILE. Zero, or an errno.
int restrict_ring(int ring, std::span<const std::uint8_t> operations) noexcept;
/// Zero, or an errno.
int enable_ring(int ring) noexcept;

}  // namespace vmm
