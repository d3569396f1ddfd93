// SPDX-License-Identifier: Apache-2.0
// The flags that the tables give: each key with flag names has one, at whatever depth it hangs.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/schema.hpp"
#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

struct Flag {
    const Key* key = nullptr;
    const Key* parent = nullptr;  ///< the key of VmConfig that `key` hangs below; null: none

    std::string_view names() const { return key->flag; }  ///< "--cpus,-c"
    std::string_view name() const;                        ///< "--cpus"
    bool value_optional() const;                          ///< `--pvpanic` alone means on
    bool repeatable() const;
    std::string path() const;  ///< "payload.kernel"
};

/// In the order of the tables.
std::vector<Flag> all_flags();

/// One appearance of a flag on the command line.
struct FlagUse {
    Flag flag;
    std::string value;  ///< "on" when it was left out
};

/// The flags in the order in which they were given, over what `config` holds already: scalars and
/// structures key by key; a flag that may be repeated replaces the whole list.
Result<> apply_flags(VmConfig& config, std::span<const FlagUse> uses);

}  // namespace vmm::config
