// SPDX-License-Identifier: Apache-2.0
// Text to the user who called us. No streams: their set-up would cost every start.
#pragma once

#include <string_view>

#include "vmm/error.hpp"

namespace vmm::cli {

/// To standard output, all of it.
Result<> print(std::string_view text);

/// To standard error. Waits a second for a reader who does not read.
void print_error(std::string_view text) noexcept;

/// The same from a running machine: waits for nobody.
void print_at_once(std::string_view text) noexcept;

/// At the end of main(): a second more for what could not be written yet.
void finish_messages() noexcept;

}  // namespace vmm::cli
