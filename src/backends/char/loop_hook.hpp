// SPDX-License-Identifier: Apache-2.0
// Ties a descriptor to the machine's loop. The only place here that knows Asio.
#pragma once

#include <functional>
#include <memory>

#include "vmm/unique_fd.hpp"

namespace boost::asio {
class io_context;  // NOLINT(readability-identifier-naming): Asio's
}

namespace vmm {

/// Calls `ready` from the loop whenever `fd` is readable. Asio makes the descriptor non-blocking,
/// so it must not be one that others share; an epoll descriptor over those is fine.
class LoopHook {
public:
    LoopHook(boost::asio::io_context& loop, UniqueFd fd,
             std::move_only_function<void() noexcept> ready);
    LoopHook(const LoopHook&) = delete;
    LoopHook& operator=(const LoopHook&) = delete;
    ~LoopHook();  ///< `ready` is not called any more. Thread: the loop's

private:
    struct Waiter;
    // Shared with the handler that Asio may still hold after we are gone.
    std::shared_ptr<Waiter> waiter_;
};

}  // namespace vmm
