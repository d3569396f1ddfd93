// SPDX-License-Identifier: Apache-2.0
#include "config/json_tree.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>

#include "config/suggest.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

constexpr std::size_t kMaxDepth = 16;

/// Counts what the lexer has read, as it does not tell where a value began.
class CountingIterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    CountingIterator(const char* at, std::size_t* count) : at_{at}, count_{count} {}

    reference operator*() const { return *at_; }
    CountingIterator& operator++() {
        ++at_;
        if (count_ != nullptr)
            ++*count_;
        return *this;
    }
    bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

private:
    const char* at_;
    std::size_t* count_;
};

/// Builds the tree from the parser's events. A false return ends the parse.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
public:
    Builder(std::string_view text, std::string_view file, const std::size_t& read)
        : text_{text}, file_{file}, read_{read} {}

    bool null() override { return add(made(JsonNode::Kind::Null)); }
    bool boolean(bool truth) override {
        JsonNode node = made(JsonNode::Kind::Bool);
        node.truth = truth;
        return add(std::move(node));
    }
    bool number_unsigned(std::uint64_t number) override {
        JsonNode node = made(JsonNode::Kind::Number);
        node.number = number;
        return add(std::move(node));
    }
    bool number_integer(std::int64_t /*number*/) override {
        return add(made(JsonNode::Kind::Negative));
    }
    bool number_float(double /*number*/, const std::string& /*text*/) override {
        return add(made(JsonNode::Kind::Fraction));
    }
    bool string(std::string& text) override {
        JsonNode node = made(JsonNode::Kind::Text);
        node.text = std::move(text);
        return add(std::move(node));
    }
    bool binary(nlohmann::json::binary_t& /*bytes*/) override { return false; }

    bool start_object(std::size_t /*size*/) override { return open(made(JsonNode::Kind::Object)); }
    bool start_array(std::size_t /*size*/) override { return open(made(JsonNode::Kind::List)); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }

    bool key(std::string& name) override {
        const auto at = token();
        auto& members = open_.back().members;
        if (std::ranges::any_of(members, [&](const auto& old) { return old.key == name; }))
            return fail(at, cat("the key ", in_quotes(name), " stands twice in one object"),
                        "Remove one of the two.");
        members.push_back({std::move(name), at, {}});
        return true;
    }

    bool parse_error(std::size_t position, const std::string& /*last*/,
                     const nlohmann::detail::exception& error) override {
        // "[...] parse error at line 3, column 28: syntax error while ...": the place is ours.
        std::string_view what = error.what();
        what.remove_prefix(std::min(what.find(": "), what.size() - 2) + 2);
        const auto reason = what.find("syntax error ") == 0 ? what.substr(13) : what;
        return fail(position == 0 ? 0 : position - 1, cat("not JSON: ", reason),
                    "Correct the text there, or shortly before it.");
    }

    Result<JsonNode> take() && {
        if (error_)
            return std::unexpected(*std::move(error_));
        return std::move(root_);
    }

private:
    static JsonNode made(JsonNode::Kind kind) {
        JsonNode node;
        node.kind = kind;
        return node;
    }

    bool fail(std::size_t at, std::string what, std::string advice) {
        if (!error_)
            error_ = Error{ErrorKind::Config, std::move(what)}
                         .hint(std::move(advice))
                         .context(place_in(file_, text_, at));
        return false;
    }

    /// Offset of the token that the current event is about: the first byte behind the token before
    /// it that is neither space nor punctuation that makes no event.
    std::size_t token() {
        const auto at = text_.find_first_not_of(" \t\r\n,:\xEF\xBB\xBF", before_);
        before_ = read_;
        return std::min(at, text_.size());
    }

    bool add(JsonNode node) {
        node.at = token();
        put(std::move(node));
        return true;
    }

    bool open(JsonNode node) {
        node.at = token();
        if (open_.size() == kMaxDepth)
            return fail(node.at, "nested too deep", "No key of the configuration is that deep.");
        open_.push_back(std::move(node));
        return true;
    }

    bool close() {
        token();
        JsonNode node = std::move(open_.back());
        open_.pop_back();
        put(std::move(node));
        return true;
    }

    void put(JsonNode node) {
        if (open_.empty())
            root_ = std::move(node);
        else if (open_.back().kind == JsonNode::Kind::Object)
            open_.back().members.back().value = std::move(node);
        else
            open_.back().items.push_back(std::move(node));
    }

    std::string_view text_;
    std::string_view file_;
    const std::size_t& read_;
    std::size_t before_ = 0;  // end of the token before, or one byte later
    std::vector<JsonNode> open_;
    JsonNode root_;
    std::optional<Error> error_;
};

}  // namespace

std::string place_in(std::string_view file, std::string_view text, std::size_t at) {
    const auto before = text.substr(0, at);
    const auto line = 1 + std::ranges::count(before, '\n');
    const auto line_start = before.rfind('\n');
    const auto column =
        line_start == std::string_view::npos ? before.size() + 1 : before.size() - line_start;
    return cat(file, ":", line, ":", column);
}

std::string_view kind_name(JsonNode::Kind kind) {
    switch (kind) {
        case JsonNode::Kind::Null:
            return "null";
        case JsonNode::Kind::Bool:
            return "true or false";
        case JsonNode::Kind::Number:
            return "a number";
        case JsonNode::Kind::Negative:
            return "a negative number";
        case JsonNode::Kind::Fraction:
            return "a number that is not whole, or too large";
        case JsonNode::Kind::Text:
            return "a text";
        case JsonNode::Kind::List:
            return "a list";
        case JsonNode::Kind::Object:
            break;
    }
    return "an object";
}

Result<JsonNode> parse_json(std::string_view text, std::string_view file) {
    if (text.size() > kMaxJsonBytes)
        return std::unexpected(Error{ErrorKind::Config, cat(file, " is larger than 1 MiB")}.hint(
            "Name a configuration file; `vmm config show` writes one."));
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
        return std::unexpected(Error{ErrorKind::Config, cat(file, " is empty")}.hint(
            "Write at least {}; `vmm config show` writes a whole one."));
    std::size_t read = 0;
    Builder builder{text, file, read};
    try {
        nlohmann::json::sax_parse(CountingIterator{std::to_address(text.begin()), &read},
                                  CountingIterator{std::to_address(text.end()), nullptr}, &builder);
    } catch (const nlohmann::json::exception& error) {
        return std::unexpected(Error{ErrorKind::Config, error.what()}.context(std::string{file}));
    }
    return std::move(builder).take();
}

}  // namespace vmm::config
