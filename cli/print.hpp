// Text to the person who called us. No streams: their set-up would cost every start.
#pragma once

#include <string_view>

#include "vmm/error.hpp"

namespace vmm::cli {

Result<> print(std::string_view text);             ///< to standard output, all of it
void print_error(std::string_view text) noexcept;  ///< to standard error, as far as it goes

}  // namespace vmm::cli
