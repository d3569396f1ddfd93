// SPDX-License-Identifier: Apache-2.0
// Any bytes as a JSON configuration: what is read must be written and read back to the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/command_line.hpp"
#include "config/json_read.hpp"
#include "config/json_write.hpp"
#include "config/validate.hpp"
#include "vmm/assert.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    vmm::VmConfig config;
    if (!vmm::config::read_json(text, "fuzz.json", config))
        return 0;
    const auto written = vmm::config::to_json(config);
    VMM_ASSERT(written);  // what came in as JSON is UTF-8
    vmm::VmConfig again;
    VMM_ASSERT(vmm::config::read_json(*written, "again.json", again));
    VMM_ASSERT(again == config);
    (void)vmm::config::validate(config);
    config.payload.cmdline = vmm::config::effective_cmdline(config);
    VMM_ASSERT(vmm::config::effective_cmdline(config) == config.payload.cmdline);
    return 0;
}
