// SPDX-License-Identifier: Apache-2.0
// The part of config/validate.hpp for kinds of device, each by its own rules, and for their names.
#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/kinds/kinds.hpp"
#include "config/kinds/rules.hpp"
#include "config/limits.hpp"
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
    // Those that cannot have an id come first: of devices with the same name, another one is asked
    // to change it.
    for (const bool may_have_id : {false, true})
        for (const Key& key : device_keys()) {
            const DeviceSchema& device = *key.device;
            if (device.pci_devices == nullptr || (device.id != nullptr) != may_have_id)
                continue;
            for (std::size_t i = 0; i < device.pci_devices(config); ++i)
                names.push_back(
                    {device.name_of(config, i),
                     may_have_id ? cat(key.name, "[", i, "]") : std::string{device.noun},
                     may_have_id && !device.id(config, i).empty(), may_have_id});
        }
    return names;
}

bool has_ids(const DeviceSchema& device, const VmConfig& config) {
    if (device.id != nullptr)
        for (std::size_t i = 0; i < device.pci_devices(config); ++i)
            if (!device.id(config, i).empty())
                return true;
    return false;
}

Result<> check_names(const VmConfig& config) {
    if (std::ranges::none_of(device_keys(),
                             [&](const Key& key) { return has_ids(*key.device, config); }))
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

/// A device, as messages name it.
std::string path_of(const Key& key, std::size_t number) {
    return key.device->id != nullptr ? cat(key.name, "[", number, "]") : std::string{key.name};
}

Result<> check_slots(const VmConfig& config) {
    struct Holder {
        const Key* key = nullptr;  // null: the slot is free
        std::size_t number = 0;
    };
    std::array<Holder, kLastPciSlot + 1> holders{};
    for (const Key& key : device_keys()) {
        if (key.device->slot == nullptr)
            continue;
        for (std::size_t i = 0; i < key.device->pci_devices(config); ++i) {
            const auto slot = key.device->slot(config, i);
            if (!slot || *slot >= holders.size())  // the key's limits are the reader's to check
                continue;
            auto& holder = holders[*slot];
            if (holder.key != nullptr)
                return bad(
                    cat(path_of(key, i), ".pci_device_id: ", path_of(*holder.key, holder.number),
                        " has PCI slot ", *slot, " already"),
                    cat("Give it another one, from 1 to ", kLastPciSlot, ", or leave it out."));
            holder = {.key = &key, .number = i};
        }
    }
    return {};
}

}  // namespace

Result<> validate_devices(const VmConfig& config) {
    for (const Key& key : device_keys())
        if (key.device->check != nullptr && !key.device->has_channels())
            VMM_TRY(key.device->check(config));
    VMM_TRY(check_slots(config));
    return check_names(config);
}

}  // namespace vmm::config
