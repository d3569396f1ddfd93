// SPDX-License-Identifier: Apache-2.0
#include "cli/flag_words.hpp"

#include <algorithm>
#include <utility>

#include "cli/foreign_flags.hpp"
#include "config/suggest.hpp"
#include "vmm/text.hpp"

namespace vmm::cli {
namespace {

using Takes = KnownFlag::Takes;

bool is_flag(std::string_view arg) {
    return arg.size() > 1 && arg.starts_with('-');
}

bool is_long(std::string_view arg) {
    return arg.starts_with("--");
}

std::string_view name_of(std::string_view arg) {
    return arg.substr(0, arg.find('='));
}

std::string_view without_dashes(std::string_view name) {
    return name.substr(std::min(name.find_first_not_of('-'), name.size()));
}

bool is_word(std::string_view text) {
    return std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    });
}

class Arranger {
public:
    Arranger(std::span<const std::string> args, std::span<const KnownFlag> known)
        : args_{args}, known_{known} {}

    FlagWords arrange() && {
        while (at_ < args_.size()) {
            const std::string& arg = args_[at_++];
            if (arg == "--") {
                out_.words.insert(out_.words.end(), args_.begin() + static_cast<int>(at_) - 1,
                                  args_.end());
                break;
            }
            if (is_long(arg))
                long_flag(arg);
            else if (is_flag(arg))
                short_flags(arg);
            else
                out_.words.push_back(arg);
        }
        return std::move(out_);
    }

private:
    void long_flag(const std::string& arg) {
        const auto name = name_of(arg);
        const KnownFlag* flag = find_flag(known_, name);
        out_.words.push_back(arg);
        if (flag != nullptr && name.size() == arg.size())
            values(name, flag->takes);
    }

    void values(std::string_view name, Takes takes) {
        if (takes != Takes::Value && takes != Takes::Values)
            return;
        if (at_ < args_.size())
            out_.words.push_back(args_[at_++]);
        while (takes == Takes::Values && at_ < args_.size() && !is_flag(args_[at_])) {
            out_.words.emplace_back(name);
            out_.words.push_back(args_[at_++]);
        }
    }

    /// `-v`, `-vh`, `-m 1G`, `-m1G`; and what is a long flag with one dash.
    void short_flags(const std::string& arg) {
        const auto name = name_of(arg);
        const bool alone = arg.size() == 2;
        if (!alone && (find_flag(known_, cat("-", name)) != nullptr ||
                       !advice_about_foreign(name.substr(1)).empty()))
            return refuse(name);
        for (std::size_t i = 1; i < arg.size(); ++i) {
            const std::string_view rest = std::string_view{arg}.substr(i + 1);
            const KnownFlag* flag = find_flag(known_, cat("-", arg.substr(i, 1)));
            if (flag == nullptr && !alone)
                return refuse(name);
            if (flag == nullptr || flag->takes == Takes::Nothing)
                continue;
            if (!rest.empty() && is_word(arg) && !meant_flag(name, known_).empty())
                return refuse(name);
            out_.words.push_back(arg);
            if (rest.empty())
                values(arg.substr(0, 2), flag->takes);
            return;
        }
        out_.words.push_back(arg);
    }

    void refuse(std::string_view name) {
        if (out_.wrong.empty())
            out_.wrong = name;
    }

    std::span<const std::string> args_;
    std::span<const KnownFlag> known_;
    std::size_t at_ = 0;
    FlagWords out_;
};

}  // namespace

FlagWords arrange_flags(std::span<const std::string> args, std::span<const KnownFlag> known) {
    return Arranger{args, known}.arrange();
}

bool has_name(std::string_view names, std::string_view name) {
    while (!names.empty()) {
        const auto each = names.substr(0, names.find(','));
        if (each == name)
            return true;
        names.remove_prefix(std::min(names.size(), each.size() + 1));
    }
    return false;
}

const KnownFlag* find_flag(std::span<const KnownFlag> known, std::string_view name) {
    for (const KnownFlag& flag : known)
        if (has_name(flag.names, name))
            return &flag;
    return nullptr;
}

std::string meant_flag(std::string_view given, std::span<const KnownFlag> known) {
    const auto bare = without_dashes(given);
    if (!is_long(given) && find_flag(known, cat("--", bare)) != nullptr)
        return cat("Long flags have two dashes: --", bare, ".");
    if (const auto advice = advice_about_foreign(bare); !advice.empty())
        return std::string{advice};
    std::vector<std::string_view> names;
    for (const KnownFlag& flag : known)
        for (auto rest = flag.names; !rest.empty();) {
            const auto each = rest.substr(0, rest.find(','));
            rest.remove_prefix(std::min(rest.size(), each.size() + 1));
            if (is_long(each))
                names.push_back(without_dashes(each));
        }
    const auto near = config::nearest(bare, names);
    return near.empty() ? std::string{} : cat("Did you mean --", near, "?");
}

}  // namespace vmm::cli
