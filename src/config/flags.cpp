// SPDX-License-Identifier: Apache-2.0
#include "config/flags.hpp"

#include <algorithm>

#include "config/key_values.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

void collect(const Object& schema, const Key* parent, std::vector<Flag>& flags) {
    for (const Key& key : schema.keys) {
        if (!key.flag.empty())
            flags.push_back({&key, parent});
        if (parent == nullptr && key.type == Type::Object)
            collect(*key.object, &key, flags);
    }
}

Result<> set_object(const Key& key, void* owner, std::string_view value) {
    if (key.access.optional) {
        if (const auto on = parse_switch(value)) {
            if (*on)
                key.access.add(owner);
            else
                key.access.clear(owner);
            return {};
        }
    }
    if (key.object->replaced_whole)
        key.access.clear(owner);
    return set_from_text(*key.object, key.access.add(owner), value);
}

Result<> add_text(const Key& key, void* owner, std::string_view value) {
    const Value text = VMM_TRY(parse_value(key, value));
    auto all = key.access.get(owner).value_or(Value{std::vector<std::string>{}});
    std::get<std::vector<std::string>>(all).push_back(std::get<std::string>(text));
    key.access.set(owner, std::move(all));
    return {};
}

Result<> apply(const FlagUse& use, VmConfig& config, bool first) {
    const Key& key = *use.flag.key;
    void* owner = use.flag.parent == nullptr ? &config : use.flag.parent->access.add(&config);
    if (use.flag.repeatable() && first)
        key.access.clear(owner);
    switch (key.type) {
        case Type::Object:
            return set_object(key, owner, use.value);
        case Type::ObjectList:
            return set_from_text(*key.object, key.access.add(owner), use.value);
        case Type::TextList:
            return add_text(key, owner, use.value);
        default:
            key.access.set(owner, VMM_TRY(parse_value(key, use.value)));
            return {};
    }
}

}  // namespace

std::string_view Flag::name() const {
    return names().substr(0, names().find(','));
}

bool Flag::value_optional() const {
    return key->type == Type::Bool || (key->type == Type::Object && key->access.optional);
}

bool Flag::repeatable() const {
    return key->type == Type::ObjectList || key->type == Type::TextList;
}

std::string Flag::path() const {
    return parent == nullptr ? std::string{key->name} : cat(parent->name, ".", key->name);
}

std::vector<Flag> all_flags() {
    std::vector<Flag> flags;
    flags.reserve(32);
    collect(vm_schema(), nullptr, flags);
    return flags;
}

Result<> apply_flags(VmConfig& config, std::span<const FlagUse> uses) {
    std::vector<const Key*> seen;
    for (const FlagUse& use : uses) {
        const bool first = std::ranges::find(seen, use.flag.key) == seen.end();
        VMM_TRY_OR(apply(use, config, first), std::string{use.flag.name()});
        seen.push_back(use.flag.key);
    }
    return {};
}

}  // namespace vmm::config
