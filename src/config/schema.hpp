// SPDX-License-Identifier: Apache-2.0
// The one description of the configuration: a table per structure of config/vm_config.hpp.
//
// Command line, key=value text, JSON, JSON Schema, help and the reference page are all written from
// these tables, so a key cannot exist in one and be missing in another. The engines work on untyped
// objects through a Key's Access; only the tables know the members.
// Threads: constants. Not here: rules that join several keys (config/validate.hpp).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "config/foreign_keys.hpp"
#include "config/vm_config.hpp"

namespace vmm::config {

enum class Type : std::uint8_t {
    Deduced,  ///< in a table only: from the member's type
    Bool,
    Number,
    Size,  ///< bytes; as text with K, M, G, T
    Text,
    Choice,
    TextList,
    NumberList,
    Object,
    ObjectList,
};

/// Number, Size and Choice (its place in Key::choices) are std::uint64_t.
using Value = std::variant<bool, std::uint64_t, std::string, std::vector<std::string>,
                           std::vector<std::uint64_t>>;

/// How to reach one member of a structure. `object` is the structure that the table is for.
struct Access {
    /// Empty: not given. Scalars and lists of scalars.
    std::optional<Value> (*get)(const void* object) = nullptr;
    void (*set)(void* object, Value value) = nullptr;

    /// Object (0 or 1 of them) and ObjectList.
    std::size_t (*count)(const void* object) = nullptr;
    const void* (*at)(const void* object, std::size_t index) = nullptr;
    void* (*add)(void* object) =
        nullptr;  ///< the object, made if absent; of a list, a new last one
    void (*clear)(void* object) = nullptr;
    bool optional = false;
};

struct DeviceSchema;
struct Object;

struct Key {
    std::string_view name{};   ///< in JSON, and in key=value text
    std::string_view alias{};  ///< another name in key=value text
    std::string_view flag{};   ///< names of a flag of its own, "--cmd-line,--cmdline,-p"
    std::string_view value{};  ///< what a flag's value is called in the help, "FILE"
    std::string_view help{};   ///< one sentence, no full stop; empty: the table's
    Type type = Type::Deduced;
    std::uint64_t least = 0;
    std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    std::span<const std::string_view> choices{};
    const Object* object = nullptr;
    std::string_view implies{};  ///< choice of the object's first key when only this key is given
    bool required = false;       ///< there is no default; if others imply it, one of them will do
    bool bare_choice = false;    ///< a bare word that is a choice of this key is taken as one
    std::string_view advice{};   ///< about a value that is none of the choices
    const DeviceSchema* device = nullptr;  ///< the kind of device that it is for; device_key()
    Access access{};
};

enum class TextForm : std::uint8_t {
    KeyValue,  ///< key=value,key=value
    Colons,    ///< the values alone, all of them, in the table's order
    At,        ///< NUMBER@[NUMBER,FIRST-LAST], for a table of a number and a list of numbers
};

struct Object {
    std::string_view name;  ///< of the structure, for the JSON Schema and the reference page
    std::string_view help;
    std::span<const Key> keys;
    const void* (*defaults)() = nullptr;
    TextForm text_form = TextForm::KeyValue;
    bool replaced_whole = false;  ///< a flag starts from the defaults, not from the file's values
    std::span<const ForeignKey> foreign{};           ///< of Cloud Hypervisor's object of that name
    std::span<const ForeignObject> foreign_below{};  ///< that foreign keys are Nested in
};

/// The key's own, or that of its kind of device or its object.
std::string_view help_of(const Key& key);

/// The table of VmConfig; all others hang below it.
const Object& vm_schema();

const Key* find_key(const Object& object, std::string_view name);

// ---------------------------------------------------------------- for the tables

template <class T>
struct Member {
    static constexpr bool kOptional = false;
    static constexpr bool kList = false;
    using Element = T;
};
template <class T>
struct Member<std::optional<T>> {
    static constexpr bool kOptional = true;
    static constexpr bool kList = false;
    using Element = T;
};
template <class T>
struct Member<std::vector<T>> {
    static constexpr bool kOptional = false;
    static constexpr bool kList = true;
    using Element = T;
};

template <auto Pointer>
struct MemberAccess;

template <class ObjectT, class MemberT, MemberT ObjectT::*Pointer>
struct MemberAccess<Pointer> {
    using Traits = Member<MemberT>;
    using Element = typename Traits::Element;

    static constexpr Type type() {
        if constexpr (std::is_same_v<Element, bool>)
            return Type::Bool;
        else if constexpr (std::is_integral_v<Element>)
            return Traits::kList ? Type::NumberList : Type::Number;
        else if constexpr (std::is_enum_v<Element>)
            return Type::Choice;
        else if constexpr (std::is_same_v<Element, std::string>)
            return Traits::kList ? Type::TextList : Type::Text;
        else
            return Traits::kList ? Type::ObjectList : Type::Object;
    }
    static constexpr bool kObject = type() == Type::Object || type() == Type::ObjectList;

    static constexpr std::uint64_t most() {
        if constexpr (std::is_integral_v<Element> && !std::is_same_v<Element, bool>)
            return std::numeric_limits<Element>::max();
        else
            return std::numeric_limits<std::uint64_t>::max();
    }

    static const MemberT& of(const void* object) {
        return static_cast<const ObjectT*>(object)->*Pointer;
    }
    static MemberT& of(void* object) { return static_cast<ObjectT*>(object)->*Pointer; }

    static Value to_value(const Element& element) {
        if constexpr (std::is_same_v<Element, bool> || std::is_same_v<Element, std::string>)
            return element;
        else
            return static_cast<std::uint64_t>(element);
    }

    static std::optional<Value> get(const void* object) {
        const MemberT& member = of(object);
        if constexpr (Traits::kOptional) {
            return member ? std::optional{to_value(*member)} : std::nullopt;
        } else if constexpr (std::is_same_v<MemberT, std::vector<std::string>>) {
            return member.empty() ? std::nullopt : std::optional<Value>{member};
        } else if constexpr (Traits::kList) {
            return member.empty() ? std::nullopt
                                  : std::optional<Value>{
                                        std::vector<std::uint64_t>(member.begin(), member.end())};
        } else if constexpr (std::is_same_v<MemberT, std::string>) {
            return member.empty() ? std::nullopt : std::optional<Value>{member};
        } else {
            return to_value(member);
        }
    }

    static void set(void* object, Value value) {
        MemberT& member = of(object);
        if constexpr (std::is_same_v<MemberT, std::vector<std::string>>) {
            member = std::get<std::vector<std::string>>(std::move(value));
        } else if constexpr (Traits::kList) {
            member.clear();
            for (const auto number : std::get<std::vector<std::uint64_t>>(value))
                member.push_back(static_cast<Element>(number));
        } else if constexpr (std::is_same_v<Element, std::string>) {
            member = std::get<std::string>(std::move(value));
        } else if constexpr (std::is_same_v<Element, bool>) {
            member = std::get<bool>(value);
        } else {
            member = static_cast<Element>(std::get<std::uint64_t>(value));
        }
    }

    static std::size_t count(const void* object) {
        if constexpr (Traits::kList)
            return of(object).size();
        else if constexpr (Traits::kOptional)
            return of(object) ? 1 : 0;
        else
            return 1;
    }

    static const void* at(const void* object, [[maybe_unused]] std::size_t index) {
        if constexpr (Traits::kList)
            return &of(object)[index];
        else if constexpr (Traits::kOptional)
            return &*of(object);
        else
            return &of(object);
    }

    static void* add(void* object) {
        MemberT& member = of(object);
        if constexpr (Traits::kList)
            return &member.emplace_back();
        else if constexpr (Traits::kOptional)
            return member ? &*member : &member.emplace();
        else
            return &member;
    }

    static void clear(void* object) { of(object) = MemberT{}; }

    static constexpr Access access() {
        if constexpr (kObject)
            return {nullptr, nullptr, count, at, add, clear, Traits::kOptional};
        else
            return {get, set, nullptr, nullptr, nullptr, clear, Traits::kOptional};
    }
};

/// A row of a table: `rest` with type, access and the type's limit filled in.
template <auto Pointer>
constexpr Key key(Key rest) {
    using Of = MemberAccess<Pointer>;
    if (rest.type == Type::Deduced)
        rest.type = Of::type();
    if (rest.most == std::numeric_limits<std::uint64_t>::max())
        rest.most = Of::most();
    rest.access = Of::access();
    return rest;
}

template <class T>
const void* defaults_of() {
    static const T object{};
    return &object;
}

}  // namespace vmm::config
