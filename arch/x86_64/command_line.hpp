// The kernel command line: what the user gave, and the little that is added to it.
#pragma once

#include <string>
#include <string_view>

namespace vmm::x86_64 {

/// Adds `console=NAME` in front unless a console is named already; that is all. Nothing is added
/// for power-off and reset (ACPI says how), for the timer (a KVM guest skips the check of it) or
/// for the keyboard controller (ACPI says that there is none), so nothing needs switching off
/// either. In front, because Linux makes the last console named the one for /dev/console.
std::string complete_command_line(std::string_view given, std::string_view console);

/// One of its words is `word`, or starts with `word` when that ends in '='. Words in quotes count
/// as part of their word; what follows "--" belongs to init and does not count.
bool has_word(std::string_view command_line, std::string_view word);

}  // namespace vmm::x86_64
