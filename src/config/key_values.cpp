// SPDX-License-Identifier: Apache-2.0
#include "config/key_values.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "config/foreign_keys.hpp"
#include "config/suggest.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

struct Item {
    std::string key;  // empty: a bare word
    std::vector<std::string> values;
    bool list = false;  // was written between [ and ]
    std::string raw;    // of a list: as it was written
};

Error bad_word(std::string what, std::string advice) {
    return Error{ErrorKind::Config, std::move(what)}.hint(std::move(advice));
}

/// Cuts the text into items; knows commas, quotes and brackets, but no keys.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_{text} {}

    bool done() const { return at_ >= text_.size(); }

    Result<Item> next() {
        Item item;
        const auto word = text_.substr(at_, text_.find_first_of(",=\"[", at_) - at_);
        if (at_ + word.size() < text_.size() && text_[at_ + word.size()] == '=') {
            item.key = word;
            at_ += word.size() + 1;
            if (item.key.empty())
                return std::unexpected(
                    bad_word("'=' without a key in front of it", "Write key=value."));
        }
        if (at_list())
            VMM_TRY(list(item));
        else
            item.values.push_back(VMM_TRY(value(",")));
        VMM_TRY(comma());
        return item;
    }

private:
    /// Brackets around all of a value make a list. `[x].img` and `[::1]:8080:80` only begin with
    /// one.
    bool at_list() const {
        if (done() || text_[at_] != '[')
            return false;
        const auto end = end_of_brackets(at_);
        return end >= text_.size() || text_[end] == ',';
    }

    /// One past the bracket that closes the one at `at`; npos if none does.
    std::size_t end_of_brackets(std::size_t at) const {
        int depth = 0;
        bool quoted = false;
        for (; at < text_.size(); ++at) {
            if (quoted && text_[at] == '\\')
                ++at;
            else if (text_[at] == '"')
                quoted = !quoted;
            else if (!quoted && text_[at] == '[')
                ++depth;
            else if (!quoted && text_[at] == ']' && --depth == 0)
                return at + 1;
        }
        return std::string_view::npos;
    }

    /// What `ends` a value does not do so between brackets that begin it, or that are in a list.
    std::size_t end_of_value(std::string_view ends) const {
        const bool in_list = ends.contains(']');
        auto end = at_;
        while (end < text_.size() && !ends.contains(text_[end])) {
            const bool skip = text_[end] == '[' && (in_list || end == at_);
            end = skip ? std::min(end_of_brackets(end), text_.size()) : end + 1;
        }
        return end;
    }

    Result<std::string> value(std::string_view ends) {
        if (!done() && text_[at_] == '"')
            return quoted_value();
        const auto end = end_of_value(ends);
        const auto first = std::exchange(at_, end);
        return std::string{text_.substr(first, end - first)};
    }

    Result<std::string> quoted_value() {
        std::string value;
        for (++at_; !done(); ++at_) {
            if (text_[at_] == '"') {
                ++at_;
                return value;
            }
            const bool escape = text_[at_] == '\\' && at_ + 1 < text_.size() &&
                                (text_[at_ + 1] == '"' || text_[at_ + 1] == '\\');
            at_ += escape ? 1 : 0;
            value += text_[at_];
        }
        return std::unexpected(
            bad_word("a quote is not closed", "Add a \" at the end of the value."));
    }

    Result<> list(Item& item) {
        const auto start = at_++;
        item.list = true;
        while (!done() && text_[at_] != ']') {
            item.values.push_back(VMM_TRY(value(",]")));
            if (!done() && text_[at_] == ',')
                ++at_;
            else if (!done() && text_[at_] != ']')
                return std::unexpected(after_value());
        }
        if (done())
            return std::unexpected(bad_word(
                "a list is not closed",
                "Add a ] at its end, or put the value between quotes if it begins with a [."));
        ++at_;
        item.raw = text_.substr(start, at_ - start);
        return {};
    }

    Result<> comma() {
        if (done())
            return {};
        if (text_[at_] != ',')
            return std::unexpected(after_value());
        ++at_;
        if (done() || text_[at_] == ',')
            return std::unexpected(
                bad_word("trailing or double comma",
                         "Remove the comma, or put the value between quotes if the "
                         "comma is part of it."));
        return {};
    }

    Error after_value() const {
        return bad_word(
            cat("unexpected ", in_quotes(text_.substr(at_)), " after the end of a value"),
            "Put a comma in between.");
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

class Setter {
public:
    Setter(const Object& schema, void* object)
        : schema_{schema}, object_{object}, seen_(schema.keys.size(), false) {}

    Result<> set(Item item, bool first) {
        if (const ForeignKey* foreign = find_foreign_key(schema_.foreign, item.key)) {
            const bool normal =
                item.list ? item.values.empty() : is_normal_text(*foreign, item.values.front());
            if (normal)
                return {};
            if (find_key(schema_, item.key) == nullptr)
                return std::unexpected(refused_foreign_key(*foreign, item.key));
        }
        const Key* key = nullptr;
        if (item.key.empty())
            key = VMM_TRY(key_of_bare(item, first));
        else
            key = VMM_TRY(key_named(item.key));
        VMM_TRY_OR(set_key(*key, std::move(item)), std::string{key->name});
        return {};
    }

    /// `file=x` alone makes the mode file.
    void set_implied() {
        if (seen_[0])
            return;
        for (const Key& key : schema_.keys)
            if (seen_[place(key)] && !key.implies.empty())
                imply(key.implies);
    }

private:
    std::size_t place(const Key& key) const {
        return static_cast<std::size_t>(&key - schema_.keys.data());
    }

    void imply(std::string_view choice) {
        const Key& mode = schema_.keys.front();
        if (const auto value = parse_choice(choice, mode.choices))
            mode.access.set(object_, *value);
    }

    std::vector<std::string_view> names() const {
        std::vector<std::string_view> all;
        for (const Key& key : schema_.keys)
            all.push_back(key.name);
        return all;
    }

    /// And what may stand without its key.
    std::vector<std::string_view> words() const {
        auto all = names();
        for (const Key& key : schema_.keys)
            for (const auto choice : key.choices)
                if (key.bare_choice && std::ranges::find(all, choice) == all.end())
                    all.push_back(choice);
        return all;
    }

    Result<const Key*> key_named(std::string_view name) const {
        for (const Key& key : schema_.keys)
            if (key.name == name || (!key.alias.empty() && key.alias == name))
                return &key;
        return std::unexpected(
            bad_word(cat("unknown key ", in_quotes(name)), meant(name, names(), "Known keys")));
    }

    /// What was meant may be another name of a key, too; the list has each key once.
    std::string meant(std::string_view given, const std::vector<std::string_view>& known,
                      std::string_view kind) const {
        auto candidates = known;
        for (const Key& key : schema_.keys)
            if (!key.alias.empty())
                candidates.push_back(key.alias);
        return suggestion(given, candidates, known, kind);
    }

    /// A word alone is a choice, a switch, or the value of the first key.
    Result<const Key*> key_of_bare(Item& item, bool first) const {
        const auto word = item.values.empty() ? std::string_view{} : item.values.front();
        const bool words_are_text = schema_.keys.front().type == Type::Text;
        for (const Key& key : schema_.keys) {
            const bool is_switch = key.type == Type::Bool && (!first || !words_are_text);
            if (is_switch && (word == key.name || (!key.alias.empty() && word == key.alias))) {
                item.values.front() = "on";
                return &key;
            }
            if (key.bare_choice && parse_choice(word, key.choices))
                return &key;
        }
        if (first)
            return &schema_.keys.front();
        return std::unexpected(bad_word(cat(in_quotes(word), " is not a switch, and has no key"),
                                        meant(word, words(), "Write key=value. Known keys")));
    }

    Result<> set_key(const Key& key, Item item) {
        const bool list = key.type == Type::TextList || key.type == Type::NumberList ||
                          key.type == Type::ObjectList;
        if (item.list && !list && key.type == Type::Text && item.values.size() == 1)
            item.values.front() = item.raw;  // the brackets are part of a name
        else if (item.list && !list)
            return std::unexpected(
                bad_word("a list where one value is wanted",
                         "Remove the brackets, or put the value between quotes."));
        if (seen_[place(key)] && !list)
            return std::unexpected(bad_word("given twice", "Give it once."));
        const bool again = seen_[place(key)];
        seen_[place(key)] = true;
        if (key.type == Type::Object)
            return set_from_text(*key.object, key.access.add(object_), item.values.front());
        if (key.type == Type::ObjectList)
            return add_objects(key, item.values, again);
        if (list)
            return add_to_list(key, item.values, again);
        key.access.set(object_, VMM_TRY(parse_value(key, item.values.front())));
        return {};
    }

    Result<> add_objects(const Key& key, const std::vector<std::string>& texts, bool again) {
        if (!again)
            key.access.clear(object_);
        for (const auto& text : texts)
            VMM_TRY(set_from_text(*key.object, key.access.add(object_), text));
        return {};
    }

    Result<> add_to_list(const Key& key, const std::vector<std::string>& texts, bool again) {
        std::vector<std::string> words;
        std::vector<std::uint64_t> numbers;
        const auto old = again ? key.access.get(object_) : std::nullopt;
        if (old && key.type == Type::TextList)
            words = std::get<std::vector<std::string>>(*old);
        else if (old)
            numbers = std::get<std::vector<std::uint64_t>>(*old);
        for (const auto& text : texts) {
            const Value value = VMM_TRY(parse_value(key, text));
            if (key.type == Type::TextList)
                words.push_back(std::get<std::string>(value));
            else
                numbers.push_back(std::get<std::uint64_t>(value));
        }
        key.access.set(object_, key.type == Type::TextList ? Value{std::move(words)}
                                                           : Value{std::move(numbers)});
        return {};
    }

    const Object& schema_;
    void* object_;
    std::vector<bool> seen_;
};

Result<> set_from_colons(const Object& schema, void* object, std::string_view text) {
    std::string form;
    for (const Key& key : schema.keys)
        form += cat(form.empty() ? "" : ":", key.name);
    for (const Key& key : schema.keys) {
        const bool last = &key == &schema.keys.back();
        const auto end = text.find(':');
        if (last != (end == std::string_view::npos))
            return std::unexpected(bad_word(cat("not ", schema.keys.size(), " numbers with colons"),
                                            cat("Write ", form, ", such as 1:4:1:2.")));
        key.access.set(object,
                       VMM_TRY_OR(parse_value(key, text.substr(0, end)), std::string{key.name}));
        text.remove_prefix(last ? text.size() : end + 1);
    }
    return {};
}

/// Numbers in the order of their first mention, each once.
struct NumberSet {
    std::vector<bool> has;  // by number
    std::vector<std::uint64_t> numbers;
};

/// "4", or "4-6" for 4, 5 and 6.
Result<> add_range(const Key& key, std::string_view text, NumberSet& set) {
    const auto dash = text.find('-');
    const auto first = std::get<std::uint64_t>(VMM_TRY(parse_value(key, text.substr(0, dash))));
    const bool range = dash != std::string_view::npos;
    const auto last =
        range ? std::get<std::uint64_t>(VMM_TRY(parse_value(key, text.substr(dash + 1)))) : first;
    if (last < first)
        return std::unexpected(
            bad_word(cat("the range ", in_quotes(text), " ends before it begins"),
                     cat("Write ", last, "-", first, ".")));
    for (auto number = first; number <= last; ++number) {
        if (!set.has[number])
            set.numbers.push_back(number);
        set.has[number] = true;
    }
    return {};
}

Result<> set_from_at(const Object& schema, void* object, std::string_view text) {
    const Key& one = schema.keys[0];
    const Key& several = schema.keys[1];
    const auto at = text.find('@');
    auto rest = text.substr(std::min(text.size(), at));
    const bool list = rest.starts_with("@[") && rest.ends_with(']');
    if (at == std::string_view::npos || (!list && rest.find_first_of("[]") != rest.npos))
        return std::unexpected(bad_word(cat(in_quotes(text), " is not VCPU@[CPUS]"),
                                        "Write a list with an entry for each vCPU, such as "
                                        "[0@[2,3],1@[4-6]]."));
    one.access.set(object, VMM_TRY_OR(parse_value(one, text.substr(0, at)), std::string{one.name}));
    rest = list ? rest.substr(2, rest.size() - 3) : rest.substr(1);
    NumberSet set{.has = std::vector<bool>(several.most + 1), .numbers = {}};
    for (bool more = !rest.empty(); more;) {
        const auto comma = rest.find(',');
        VMM_TRY_OR(add_range(several, rest.substr(0, comma), set), std::string{several.name});
        more = comma != std::string_view::npos;
        rest.remove_prefix(more ? comma + 1 : rest.size());
    }
    several.access.set(object, std::move(set.numbers));
    return {};
}

}  // namespace

Result<> set_from_text(const Object& schema, void* object, std::string_view text) {
    if (schema.text_form == TextForm::Colons)
        return set_from_colons(schema, object, text);
    if (schema.text_form == TextForm::At)
        return set_from_at(schema, object, text);
    if (text.empty())
        return std::unexpected(bad_word("the value is empty", "Write value,key=value,..."));
    Setter setter{schema, object};
    Scanner scanner{text};
    for (bool first = true; !scanner.done(); first = false) {
        Item item = VMM_TRY(scanner.next());
        VMM_TRY(setter.set(std::move(item), first));
    }
    setter.set_implied();
    return {};
}

}  // namespace vmm::config
