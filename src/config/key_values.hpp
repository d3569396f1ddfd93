// SPDX-License-Identifier: Apache-2.0
// Text of the form `value,key=value,switch`, as structured flags take it, into a structure.
//
// The first value may stand without its key, and so may what a key chooses from where the table
// says so; a switch without a value is on. A value with a comma in it goes between double quotes,
// where \" and \\ stand for themselves; a list between [ and ], or its key is given several times.
// Colon forms (2:4:1:1) are the values alone.
#pragma once

#include <string_view>

#include "config/schema.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

/// Into `object`, a structure that `schema` is the table of; keys not in `text` stay as they are.
Result<> set_from_text(const Object& schema, void* object, std::string_view text);

}  // namespace vmm::config
