// SPDX-License-Identifier: Apache-2.0
// The part of config/validate.hpp for disks and network devices.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/device_name.hpp"
#include "config/kinds/kinds.hpp"
#include "config/kinds/rules.hpp"
#include "config/suggest.hpp"
#include "config/validate.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

/// A name that a device has, given as its id or made up.
struct Named {
    std::string name;
    std::string who;
    bool given = false;
    bool may_have_id = true;
};

std::vector<Named> names_of(const VmConfig& config) {
    std::vector<Named> names;
    const auto fixed = [&](std::string_view name, std::string_view who) {
        names.push_back({std::string{name}, std::string{who}, false, false});
    };
    if (config.console.mode != ConsoleMode::Off)
        fixed(kConsoleName, "the console");
    if (!config.console_ports.empty())
        fixed(kConsolePortsName, "the device with console_ports");
    if (config.rng)
        fixed(kRngName, "the entropy device");
    if (config.pvpanic)
        fixed(kPvPanicName, "the panic device");
    const auto listed = [&](const auto& devices, std::string_view key, std::string_view kind) {
        for (std::size_t i = 0; i < devices.size(); ++i)
            names.push_back({device_name(devices[i].id, kind, i), cat(key, "[", i, "]"),
                             !devices[i].id.empty()});
    };
    listed(config.disks, "disks", "disk");
    listed(config.net, "net", "net");
    return names;
}

Result<> check_names(const VmConfig& config) {
    const auto has_id = [](const auto& device) { return !device.id.empty(); };
    if (std::ranges::none_of(config.disks, has_id) && std::ranges::none_of(config.net, has_id))
        return {};
    auto names = names_of(config);
    std::ranges::sort(names, {}, &Named::name);
    auto first = std::ranges::adjacent_find(names, {}, &Named::name);
    if (first == names.end())
        return {};
    auto second = std::next(first);
    if (first->given && second->given)
        return bad(cat("two devices have the id ", in_quotes(first->name)),
                   "Give each an id of its own.");
    if (!first->given)
        std::swap(first, second);
    return bad(cat(first->who, ".id: ", in_quotes(first->name), " is the name of ", second->who,
                   " already"),
               second->may_have_id
                   ? cat("Give it another id, or give ", second->who, " an id, too.")
                   : std::string{"Give it another id."});
}

}  // namespace

Result<> validate_devices(const VmConfig& config) {
    VMM_TRY(check_disks(config));
    VMM_TRY(check_nets(config));
    return check_names(config);
}

}  // namespace vmm::config
