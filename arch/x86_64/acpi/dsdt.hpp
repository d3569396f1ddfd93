// SPDX-License-Identifier: Apache-2.0
// The namespace of our PC: the body of the DSDT. Part of tables.hpp, which says what is in it.
#pragma once

#include "acpi/aml.hpp"
#include "x86_64/acpi/tables.hpp"

namespace vmm::x86_64 {

/// The AML that follows the table's header.
void write_namespace(aml::Writer& to, const TablesConfig& config);

}  // namespace vmm::x86_64
