// SPDX-License-Identifier: Apache-2.0
// Any bytes as the values of flags; the first byte of each line chooses the flag.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/flags.hpp"
#include "config/validate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto flags = vmm::config::all_flags();
    std::string_view text{reinterpret_cast<const char*>(data), size};
    std::vector<vmm::config::FlagUse> uses;
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(line.size() < text.size() ? line.size() + 1 : text.size());
        if (!line.empty())
            uses.push_back({flags[static_cast<unsigned char>(line.front()) % flags.size()],
                            std::string{line.substr(1)}});
    }
    vmm::VmConfig config;
    if (vmm::config::apply_flags(config, uses))
        (void)vmm::config::validate(config);
    return 0;
}
