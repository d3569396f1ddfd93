// SPDX-License-Identifier: Apache-2.0
#include "config/board.hpp"

#include "config/aarch64/in_use.hpp"
#include "config/limits.hpp"

namespace vmm::config {

const Board& board() noexcept {
    static constexpr Board kBoard{.serial_console = "ttyAMA0",
                                  .exit_space = "addresses",
                                  .last_exit = kMaxDebugExit,
                                  .free_exit = "0x0a000000",
                                  .in_use = aarch64::kInUse};
    return kBoard;
}

}  // namespace vmm::config
