// SPDX-License-Identifier: Apache-2.0
// Guest RAM as memory to unpack to. Threads: one.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/gpa.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm {

/// Empty unless it is one piece of the host's memory. No vCPU runs: nobody else looks at it.
inline std::span<std::byte> host_span(const GuestMemory& memory, Gpa at, std::uint64_t size) {
    std::array<iovec, 1> part{};
    const auto count = memory.host_iovecs(at, size, Transfer::ToGuest, part);
    if (!count || *count != 1)
        return {};
    return {static_cast<std::byte*>(part[0].iov_base), part[0].iov_len};
}

}  // namespace vmm
