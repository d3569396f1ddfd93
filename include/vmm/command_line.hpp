// SPDX-License-Identifier: Apache-2.0
// Looks for words on a kernel's command line, as Linux takes it apart.
#pragma once

#include <string_view>

namespace vmm {

/// One of its words is `word`. Spaces in quotes are part of their word; what follows "--" belongs
/// to init and does not count.
bool has_word(std::string_view command_line, std::string_view word);

/// The same for the start of a word, such as "console=".
bool has_word_that_starts(std::string_view command_line, std::string_view start);

}  // namespace vmm
