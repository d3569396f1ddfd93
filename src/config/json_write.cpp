// SPDX-License-Identifier: Apache-2.0
#include "config/json_write.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>

#include "config/features.hpp"
#include "config/foreign_keys.hpp"
#include "config/schema.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kIndent = 2;

Json scalar(const Key& key, const Value& value) {
    if (const auto* on = std::get_if<bool>(&value))
        return *on;
    if (const auto* text = std::get_if<std::string>(&value))
        return *text;
    if (const auto* numbers = std::get_if<std::vector<std::uint64_t>>(&value))
        return *numbers;
    if (const auto* texts = std::get_if<std::vector<std::string>>(&value))
        return texts->size() == 1 ? Json(texts->front()) : Json(*texts);
    const auto number = std::get<std::uint64_t>(value);
    return key.type == Type::Choice ? Json(key.choices[number]) : Json(number);
}

Json object_json(const Object& schema, const void* object) {
    Json json = Json::object();
    for (const Key& key : schema.keys) {
        const std::string name{key.name};
        if (key.object == nullptr) {
            if (const auto value = key.access.get(object))
                json[name] = scalar(key, *value);
            continue;
        }
        for (std::size_t i = 0; i < key.access.count(object); ++i) {
            Json member = object_json(*key.object, key.access.at(object, i));
            if (key.type == Type::ObjectList)
                json[name].push_back(std::move(member));
            else
                json[name] = std::move(member);
        }
    }
    return json;
}

Json reference_to(const Object& schema) {
    return {{"$ref", cat("#/$defs/", schema.name)}};
}

Json whole_number(const Key& key) {
    Json json{{"type", "integer"}, {"minimum", key.least}};
    if (key.most != UINT64_MAX)
        json["maximum"] = key.most;
    return json;
}

/// The names, and, as a pattern, the same in any case.
Json choice(const Key& key) {
    Json names = Json::array();
    std::string pattern;
    for (const auto name : key.choices) {
        names.push_back(name);
        pattern += pattern.empty() ? "^(" : "|";
        for (const char c : name)
            pattern += c >= 'a' && c <= 'z' ? cat("[", c, static_cast<char>(c - 'a' + 'A'), "]")
                                            : std::string(1, c);
    }
    return {{"anyOf",
             {{{"type", "string"}, {"enum", std::move(names)}},
              {{"type", "string"}, {"pattern", pattern + ")$"}}}}};
}

Json type_json(const Key& key) {
    switch (key.type) {
        case Type::Bool:
            return {{"type", "boolean"}};
        case Type::Number:
            return whole_number(key);
        case Type::Size:
            return {
                {"anyOf",
                 {whole_number(key),
                  {{"type", "string"}, {"pattern", "^[0-9]+([bB]|[KMGTkmgt]([iI]?[bB])?)?$"}}}}};
        case Type::Choice:
            return choice(key);
        case Type::TextList:
            return {{"anyOf",
                     {{{"type", "string"}}, {{"type", "array"}, {"items", {{"type", "string"}}}}}}};
        case Type::NumberList:
            return {{"type", "array"}, {"items", whole_number(key)}};
        case Type::Object:
            return reference_to(*key.object);
        case Type::ObjectList:
            return {{"type", "array"}, {"items", reference_to(*key.object)}};
        default: {
            Json json{{"type", "string"}};
            if (key.most != UINT64_MAX)
                json["maxLength"] = key.most;
            return json;
        }
    }
}

/// A key that may be left out may be null, too.
Json or_null(Json json) {
    const Json null{{"type", "null"}};
    if (json.contains("anyOf"))
        json["anyOf"].push_back(null);
    else if (json.contains("type"))
        json["type"] = {json["type"], "null"};
    else
        json = {{"anyOf", {std::move(json), null}}};
    return json;
}

/// Whether the key's value may also follow from another key.
bool may_be_implied(const Object& schema, const Key& key) {
    return &key == &schema.keys.front() &&
           std::ranges::any_of(schema.keys, [](const Key& each) { return !each.implies.empty(); });
}

/// The keys that must be there: each of them, or for the first one, one that implies it.
void require(const Object& schema, Json& json) {
    for (const Key& key : schema.keys) {
        if (key.required && !may_be_implied(schema, key))
            json["required"].push_back(key.name);
        if (key.required && may_be_implied(schema, key))
            for (const Key& other : schema.keys)
                if (&other == &key || !other.implies.empty())
                    json["anyOf"].push_back({{"required", {other.name}}});
    }
}

/// What a file may hold for a key of Cloud Hypervisor that has no meaning here.
Json foreign_json(const ForeignKey& key) {
    using enum ForeignKey::Normal;
    switch (key.normal) {
        case Off:
        case On:
            return {{"enum", {key.normal == On, nullptr}}};
        case Zero:
            return {{"enum", {0, nullptr}}};
        case Number:
            return {{"enum", {Json::parse(key.text), nullptr}}};
        case Text: {
            const std::array names{key.text};
            return or_null(choice({.choices = names}));
        }
        case Empty:
            return {{"type", {"array", "null"}}, {"maxItems", 0}};
        case ForeignKey::Normal::Nested: {
            Json json{{"type", {"object", "null"}},
                      {"additionalProperties", false},
                      {"properties", Json::object()}};
            for (const ForeignKey& below : nested_foreign_keys(key))
                json["properties"][std::string{below.key}] = foreign_json(below);
            return json;
        }
        case Absent:
            break;
    }
    return {{"type", "null"}};
}

void define_foreign(const Object& schema, Json& properties) {
    for (const ForeignKey& key : schema.foreign) {
        Json& property = properties[std::string{key.key}];
        if (find_key(schema, key.key) != nullptr) {
            property["anyOf"].push_back(foreign_json(key));
            continue;
        }
        property = foreign_json(key);
        property["description"] = "Cloud Hypervisor's; only its default is accepted.";
    }
}

void define(const Object& schema, std::string_view parent, Json& definitions) {
    Json json{{"type", "object"},
              {"description", cat(schema.help, ".")},
              {"additionalProperties", false},
              {"properties", Json::object()}};
    for (const Key& key : schema.keys) {
        const bool must_be_there = key.required && !may_be_implied(schema, key);
        Json property = must_be_there ? type_json(key) : or_null(type_json(key));
        const auto path = parent.empty() ? std::string{key.name} : cat(parent, ".", key.name);
        property["description"] =
            cat(help_of(key), ".", is_supported(path) ? "" : " Not supported yet.");
        if (key.object == nullptr && !key.required)
            if (const auto value = key.access.get(schema.defaults()))
                property["default"] = scalar(key, *value);
        json["properties"][std::string{key.name}] = std::move(property);
        if (key.object != nullptr)
            define(*key.object, path, definitions);
    }
    define_foreign(schema, json["properties"]);
    require(schema, json);
    definitions[std::string{schema.name}] = std::move(json);
}

}  // namespace

Result<std::string> to_json(const VmConfig& config) {
    try {
        return object_json(vm_schema(), &config).dump(kIndent) + "\n";
    } catch (const nlohmann::json::exception& /*invalid UTF-8*/) {
        return std::unexpected(
            Error{ErrorKind::Config, "a text in the configuration is not UTF-8"}.hint(
                "Use file names and a command line that are UTF-8; JSON can hold nothing else."));
    }
}

std::string json_schema() {
    Json definitions = Json::object();
    define(vm_schema(), "", definitions);
    const Json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                      {"title", "Configuration of vmm"},
                      {"$ref", cat("#/$defs/", vm_schema().name)},
                      {"$defs", std::move(definitions)}};
    return schema.dump(kIndent) + "\n";
}

}  // namespace vmm::config
