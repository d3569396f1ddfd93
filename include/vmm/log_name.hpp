// SPDX-License-Identifier: Apache-2.0
// The machine's name in each log record, so that a log of several machines can be told apart.
#pragma once

#include <string_view>

namespace vmm::log {

/// Before the first record is written. Empty: the machine has no name.
void name_records(std::string_view machine);

}  // namespace vmm::log
