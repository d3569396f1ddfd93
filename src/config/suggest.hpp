// SPDX-License-Identifier: Apache-2.0
// Nearest names, for errors about names that do not exist.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace vmm::config {

/// The name that `given` was probably meant to be, in any case, or what other programs call it;
/// empty if none is near.
std::string_view nearest(std::string_view given, std::span<const std::string_view> known);

/// "Did you mean 'size'? Known keys: size, shared.", without the question if nothing is near.
/// `kind` is "Known keys" or the like.
std::string suggestion(std::string_view given, std::span<const std::string_view> known,
                       std::string_view kind);

/// The same, where what was meant can also be a name that the list leaves out.
std::string suggestion(std::string_view given, std::span<const std::string_view> candidates,
                       std::span<const std::string_view> shown, std::string_view kind);

/// "a, b, c"
std::string listed(std::span<const std::string_view> names);

/// The text between single quotes, shortened, and with a dot for what a terminal would act on.
std::string in_quotes(std::string_view text);

}  // namespace vmm::config
