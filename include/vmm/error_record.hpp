// SPDX-License-Identifier: Apache-2.0
// An Error as one line of the log.
#pragma once

#include <string>

#include "vmm/error.hpp"
#include "vmm/text.hpp"

namespace vmm {

/// "a: b: c. Do this.": with the advice, which one_line() leaves out.
inline std::string record_of(const Error& error) {
    return error.advice().empty() ? error.one_line() : cat(error.one_line(), ". ", error.advice());
}

}  // namespace vmm
