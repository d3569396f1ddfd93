// SPDX-License-Identifier: Apache-2.0
#include "config/json_read.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "config/foreign_keys.hpp"
#include "config/json_tree.hpp"
#include "config/schema.hpp"
#include "config/suggest.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

using Kind = JsonNode::Kind;

class Reader {
public:
    Reader(std::string_view text, std::string_view file) : text_{text}, file_{file} {}

    Result<> object(const Object& schema, void* to, const JsonNode& node, const std::string& path) {
        if (node.kind != Kind::Object)
            return std::unexpected(wrong_type(node, path, cat("an object (", schema.name, ")")));
        bool first_given = false;
        for (const auto& member : node.members) {
            if (const auto* process = path.empty() ? find_process_key(member.key) : nullptr)
                return std::unexpected(
                    refused_process_key(*process).context(place_in(file_, text_, member.at)));
            const Key* key = find_key(schema, member.key);
            const ForeignKey* foreign = find_foreign_key(schema.foreign, member.key);
            if (foreign != nullptr && is_normal(*foreign, member.value))
                continue;
            if (key == nullptr && foreign != nullptr)
                return std::unexpected(refused(*foreign, member, path));
            if (key == nullptr)
                return std::unexpected(unknown(schema, member, path));
            if (member.value.kind == Kind::Null)
                continue;
            first_given = first_given || key == &schema.keys.front();
            VMM_TRY(value(*key, to, member.value, below(path, key->name)));
        }
        for (const auto& member : node.members)
            if (!first_given)
                imply(schema, to, member);
        return {};
    }

private:
    static std::string below(const std::string& path, std::string_view name) {
        return path.empty() ? std::string{name} : cat(path, ".", name);
    }

    /// {"file": "x"} alone makes the mode file.
    static void imply(const Object& schema, void* to, const JsonNode::Member& member) {
        const Key* key = find_key(schema, member.key);
        if (key == nullptr || key->implies.empty() || member.value.kind == Kind::Null)
            return;
        const Key& mode = schema.keys.front();
        if (const auto choice = parse_choice(key->implies, mode.choices))
            mode.access.set(to, *choice);
    }

    static bool is_normal(const ForeignKey& key, const JsonNode& node) {
        using enum ForeignKey::Normal;
        switch (node.kind) {
            case Kind::Null:
                return true;
            case Kind::Bool:
                return key.normal == (node.truth ? On : Off);
            case Kind::Number:
                return (key.normal == Zero || key.normal == Number) &&
                       is_normal_text(key, cat(node.number));
            case Kind::Text:
                return key.normal == Text && is_normal_text(key, node.text);
            case Kind::List:
                return key.normal == Empty && node.items.empty();
            case Kind::Object:
                return key.normal == Nested &&
                       std::ranges::all_of(node.members, [&](const JsonNode::Member& member) {
                           const ForeignKey* below =
                               find_foreign_key(nested_foreign_keys(key), member.key);
                           return below != nullptr && is_normal(*below, member.value);
                       });
            default:
                return false;
        }
    }

    /// The error about `member`, or about what in it is not as by default.
    Error refused(const ForeignKey& key, const JsonNode::Member& member,
                  const std::string& path) const {
        const auto here = below(path, member.key);
        if (key.normal == ForeignKey::Normal::Nested)
            for (const auto& each : member.value.members) {
                const ForeignKey* inner = find_foreign_key(nested_foreign_keys(key), each.key);
                if (inner != nullptr && !is_normal(*inner, each.value))
                    return refused(*inner, each, here);
                if (inner == nullptr)
                    return Error{ErrorKind::Config,
                                 cat("unknown key ", in_quotes(below(here, each.key)))}
                        .hint("Remove it.")
                        .context(place_in(file_, text_, each.at));
            }
        return refused_foreign_key(key, here).context(place_in(file_, text_, member.at));
    }

    Error at(const JsonNode& node, const std::string& path, Error error) const {
        return std::move(error).context(cat(place_in(file_, text_, node.at), ": ", path));
    }

    Error wrong_type(const JsonNode& node, const std::string& path, std::string_view wanted) const {
        Error error{ErrorKind::Config, cat("expected ", wanted, ", found ", kind_name(node.kind))};
        if (path.empty())
            return std::move(error).context(place_in(file_, text_, node.at));
        return at(node, path, std::move(error));
    }

    Error unknown(const Object& schema, const JsonNode::Member& member,
                  const std::string& path) const {
        std::vector<std::string_view> names;
        for (const Key& key : schema.keys)
            names.push_back(key.name);
        return Error{ErrorKind::Config, cat("unknown key ", in_quotes(below(path, member.key)))}
            .hint(suggestion(member.key, names,
                             path.empty() ? "Known keys" : cat("Known keys of ", path)))
            .context(place_in(file_, text_, member.at));
    }

    Result<> value(const Key& key, void* to, const JsonNode& node, const std::string& path) {
        switch (key.type) {
            case Type::Object:
                return object(*key.object, key.access.add(to), node, path);
            case Type::ObjectList:
                return objects(key, to, node, path);
            case Type::TextList:
            case Type::NumberList:
                return list(key, to, node, path);
            default:
                key.access.set(to, VMM_TRY(scalar(key, node, path)));
                return {};
        }
    }

    Result<> objects(const Key& key, void* to, const JsonNode& node, const std::string& path) {
        if (node.kind != Kind::List)
            return std::unexpected(wrong_type(node, path, expected_text(key)));
        key.access.clear(to);
        std::size_t index = 0;
        for (const JsonNode& item : node.items)
            VMM_TRY(object(*key.object, key.access.add(to), item, cat(path, "[", index++, "]")));
        return {};
    }

    Result<> list(const Key& key, void* to, const JsonNode& node, const std::string& path) {
        std::vector<std::string> texts;
        std::vector<std::uint64_t> numbers;
        if (node.kind == Kind::Text && key.type == Type::TextList) {
            texts.push_back(node.text);
        } else if (node.kind != Kind::List) {
            return std::unexpected(wrong_type(node, path, expected_text(key)));
        }
        for (const JsonNode& item : node.items) {
            const auto item_path =
                cat(path, "[", key.type == Type::TextList ? texts.size() : numbers.size(), "]");
            Value one = VMM_TRY(scalar(key, item, item_path));
            if (key.type == Type::TextList)
                texts.push_back(std::get<std::string>(std::move(one)));
            else
                numbers.push_back(std::get<std::uint64_t>(one));
        }
        key.access.set(
            to, key.type == Type::TextList ? Value{std::move(texts)} : Value{std::move(numbers)});
        return {};
    }

    /// A value of the key's own type, or of its elements' type.
    Result<Value> scalar(const Key& key, const JsonNode& node, const std::string& path) const {
        const bool is_list = key.type == Type::TextList || key.type == Type::NumberList;
        const bool wants_text =
            key.type == Type::Text || key.type == Type::TextList || key.type == Type::Choice;
        const bool wants_number = key.type == Type::Number || key.type == Type::NumberList;
        if (node.kind == Kind::Text && (wants_text || key.type == Type::Size))
            return located(parse_value(key, node.text), node, path);
        if (node.kind == Kind::Number && (wants_number || key.type == Type::Size))
            return located(checked(key, node.number), node, path);
        if (node.kind == Kind::Bool && key.type == Type::Bool)
            return Value{node.truth};
        const auto element = wants_text ? "a text" : "a whole number";
        return std::unexpected(wrong_type(node, path, is_list ? element : expected_text(key)));
    }

    static Result<Value> checked(const Key& key, Value value) {
        VMM_TRY(check_limits(key, value));
        return value;
    }

    Result<Value> located(Result<Value> value, const JsonNode& node,
                          const std::string& path) const {
        if (!value)
            return std::unexpected(at(node, path, std::move(value).error()));
        return value;
    }

    std::string_view text_;
    std::string_view file_;
};

}  // namespace

Result<> read_json(std::string_view text, std::string_view file, VmConfig& config) {
    const JsonNode root = VMM_TRY(parse_json(text, file));
    return Reader{text, file}.object(vm_schema(), &config, root, "");
}

}  // namespace vmm::config
