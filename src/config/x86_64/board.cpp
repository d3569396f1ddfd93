// SPDX-License-Identifier: Apache-2.0
#include "config/board.hpp"

#include "config/limits.hpp"
#include "config/x86_64/in_use.hpp"

namespace vmm::config {

const Board& board() noexcept {
    static constexpr Board kBoard{.serial_console = "ttyS0",
                                  .exit_space = "ports",
                                  .last_exit = 0x1'0000 - kDebugExitSize,
                                  .free_exit = "0xf4",
                                  .in_use = x86_64::kInUse};
    return kBoard;
}

}  // namespace vmm::config
