// SPDX-License-Identifier: Apache-2.0
// argv as CLI11 is to see it: what CLI11 would quietly misread is refused, and a flag with several
// values (`--disk a b`, as Cloud Hypervisor has it) is given once for each.
//
// CLI11 takes `-hda` for `-h` followed by more short flags, and `-pvpanic` for `-p vpanic`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::cli {

struct KnownFlag {
    enum class Takes : std::uint8_t {
        Nothing,
        Value,       ///< always the next word, whatever it is
        MaybeValue,  ///< the next word unless it is a flag
        Values,      ///< the next word, and all that follow up to a flag
    };

    std::string_view names;  ///< "--memory,-m"
    Takes takes = Takes::Nothing;
};

struct FlagWords {
    std::vector<std::string> words;
    std::string wrong;  ///< the first flag that was left out because it does not exist; or empty
};

/// `args` without the words of the command.
FlagWords arrange_flags(std::span<const std::string> args, std::span<const KnownFlag> known);

/// Whether `name`, dashes included, is one of `names`, such as "--memory,-m".
bool has_name(std::string_view names, std::string_view name);

/// The flag of `known` with that name, dashes included.
const KnownFlag* find_flag(std::span<const KnownFlag> known, std::string_view name);

/// What to do about a flag that does not exist: a sentence with the flag that was probably meant,
/// or nothing. `given` has its dashes, and no value.
std::string meant_flag(std::string_view given, std::span<const KnownFlag> known);

}  // namespace vmm::cli
