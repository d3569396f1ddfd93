// SPDX-License-Identifier: Apache-2.0
#include "config/foreign_keys.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "config/schema.hpp"
#include "config/suggest.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

using enum ForeignKey::Normal;

constexpr auto kProcessKeys = std::array{
    ProcessKey{"sandbox", "--sandbox MODE"},
    ProcessKey{"seccomp", "--seccomp MODE"},
    ProcessKey{"sandbox_report", "--sandbox-report"},
};

void collect(const Object& object, std::vector<ForeignObject>& all) {
    if (!object.foreign.empty())
        all.push_back({object.name, object.foreign});
    for (const Key& key : object.keys)
        if (key.object != nullptr)
            collect(*key.object, all);
    all.insert(all.end(), object.foreign_below.begin(), object.foreign_below.end());
}

}  // namespace

const ForeignKey* find_foreign_key(std::span<const ForeignKey> keys, std::string_view key) {
    const auto found = std::ranges::find(keys, key, &ForeignKey::key);
    return found == keys.end() ? nullptr : &*found;
}

std::span<const ForeignKey> nested_foreign_keys(const ForeignKey& key) {
    for (const ForeignObject& object : foreign_objects())
        if (object.name == key.text)
            return object.keys;
    return {};
}

std::vector<ForeignObject> foreign_objects() {
    std::vector<ForeignObject> all;
    collect(vm_schema(), all);
    return all;
}

Error refused_foreign_key(const ForeignKey& key, std::string_view path) {
    const auto normal = normal_in_json(key);
    const bool has_default = normal != "null";
    return Error{ErrorKind::Config,
                 cat(in_quotes(path), " of Cloud Hypervisor's configuration is not supported",
                     has_default ? ", except with its default, " : "", has_default ? normal : "")}
        .hint(std::string{key.advice.empty() ? "Leave it out." : key.advice});
}

const ProcessKey* find_process_key(std::string_view key) {
    const auto* const found = std::ranges::find(kProcessKeys, key, &ProcessKey::key);
    return found == kProcessKeys.end() ? nullptr : found;
}

Error refused_process_key(const ProcessKey& key) {
    return Error{ErrorKind::Config,
                 cat(in_quotes(key.key), " belongs to the process and not to the machine")}
        .hint(cat("Remove it, and write the flag: vmm run ", key.flag, "."));
}

std::string_view normal_in_json(const ForeignKey& key) {
    switch (key.normal) {
        case Off:
            return "false";
        case On:
            return "true";
        case Zero:
            return "0";
        case Text:
        case Number:
            return key.text;
        case Empty:
            return "[]";
        case Absent:
        case Nested:
            break;
    }
    return "null";
}

bool is_normal_text(const ForeignKey& key, std::string_view text) {
    switch (key.normal) {
        case Off:
        case On: {
            const auto value = parse_switch(text);
            return value && *value == (key.normal == On);
        }
        case Zero:
        case Number: {
            const auto value = parse_size(text);
            return value && cat(*value) == (key.normal == Zero ? "0" : key.text);
        }
        case Text: {
            const std::array choices{key.text};
            return parse_choice(text, choices).has_value();
        }
        case Absent:
        case Empty:
        case Nested:
            break;
    }
    return false;
}

}  // namespace vmm::config
