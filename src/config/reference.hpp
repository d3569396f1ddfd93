// SPDX-License-Identifier: Apache-2.0
// The tables for people: the flags of `vmm run --help`, and the page docs/configuration.md.
#pragma once

#include <string>

namespace vmm::config {

/// One paragraph per flag, indented, for 100 columns.
std::string flags_help();

/// The whole of docs/configuration.md.
std::string reference_page();

}  // namespace vmm::config
