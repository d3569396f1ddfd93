// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "cli/flag_words.hpp"
#include "cli/foreign_flags.hpp"
#include "config/suggest.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::cli {
namespace {

using Id = Command::Id;

constexpr auto kCommands = std::array{
    Command{Id::None, "", "", false},
    Command{Id::Run, "run", "Start a machine and stay until it ends", true},
    Command{Id::Config, "config", "Look at configurations", false},
    Command{Id::ConfigShow, "config show", "Print the configuration as JSON", true},
    Command{Id::ConfigCheck, "config check", "Say whether the configuration can be a machine",
            true},
    Command{Id::ConfigSchema, "config schema", "Print the JSON Schema of configurations", false},
    Command{Id::ConfigReference, "config reference", "Print the reference of all flags and keys",
            false},
};

constexpr std::array<std::string_view, 6> kLevels{"trace", "debug", "info", "warn", "error", "off"};
static_assert(kLevels[static_cast<std::size_t>(log::Level::Off)] == "off");

/// Stands for the empty value of `--flag=`, which CLI11 takes for a missing one.
constexpr char kEmptyMark = '\x01';

using Takes = KnownFlag::Takes;

constexpr auto kGlobalFlags = std::array{
    KnownFlag{"--log-level,-l", Takes::Value},
    KnownFlag{"--log-file", Takes::Value},
    KnownFlag{"--log-to-file"},
    KnownFlag{"--verbose,-v"},
    KnownFlag{"--version,-V"},
    KnownFlag{"--help,-h"},
};
constexpr KnownFlag kConfigFlag{"--config", Takes::Value};
constexpr auto kProcessFlags = std::array{
    KnownFlag{"--pid-file", Takes::Value},
    KnownFlag{"--sandbox", Takes::Value},
    KnownFlag{"--seccomp", Takes::Value},
    KnownFlag{"--sandbox-report"},
};

constexpr std::array<std::string_view, 3> kSandboxModes{"on", "off", "strict"};
static_assert(kSandboxModes[static_cast<std::size_t>(sandbox::Mode::Strict)] == "strict");

constexpr std::array<std::string_view, 3> kSeccompModes{"on", "log", "off"};
static_assert(kSeccompModes[static_cast<std::size_t>(sandbox::Seccomp::Log)] == "log");

std::vector<KnownFlag> known_flags(bool of_machine) {
    std::vector<KnownFlag> known{kGlobalFlags.begin(), kGlobalFlags.end()};
    if (!of_machine)
        return known;
    known.push_back(kConfigFlag);
    known.insert(known.end(), kProcessFlags.begin(), kProcessFlags.end());
    for (const config::Flag& flag : config::all_flags())
        known.push_back({flag.names(), flag.value_optional() ? Takes::MaybeValue
                                       : flag.key->type == config::Type::ObjectList
                                           ? Takes::Values
                                           : Takes::Value});
    return known;
}

Error bad(std::string what, std::string advice) {
    return Error{ErrorKind::Config, std::move(what)}.hint(std::move(advice));
}

std::string help_call(Id id) {
    const auto name = command(id).name;
    return cat("vmm ", name, name.empty() ? "" : " ", "--help");
}

// ---------------------------------------------------------------- the command's words

/// A flag of every command. With its value glued to it only if that is one: `-long` is none.
bool is_global(std::string_view arg) {
    if (find_flag(kGlobalFlags, arg.substr(0, arg.find('='))) != nullptr)
        return true;
    return arg.starts_with("-l") && config::parse_choice(arg.substr(2), kLevels).has_value();
}

bool takes_next(std::string_view arg) {
    const KnownFlag* flag = find_flag(kGlobalFlags, arg);
    return flag != nullptr && flag->takes == Takes::Value;
}

/// The flag that a word without one was probably meant for.
std::string_view flag_meant_for(std::string_view word) {
    const auto name = word.substr(word.rfind('/') + 1);
    if (name.ends_with(".json"))
        return "--config";
    if (name.contains(".cpio") || name.starts_with("initr") || name.starts_with("rootfs"))
        return "--initramfs";
    constexpr std::array<std::string_view, 7> kImages{".img",  ".raw", ".iso", ".qcow2",
                                                      ".vmdk", ".vhd", ".vhdx"};
    if (word.starts_with("/dev/") ||
        std::ranges::any_of(kImages, [&](auto end) { return name.ends_with(end); }))
        return "--disk";
    return "--kernel";
}

Error unknown_command(std::string_view given, std::string_view above) {
    if (above.empty() && given.find_first_of("./") != std::string_view::npos)
        return bad(cat("unknown command ", config::in_quotes(given)),
                   cat("If it is a file, write vmm run ", flag_meant_for(given), " ", given, "."));
    std::vector<std::string_view> names;
    for (const Command& command : kCommands) {
        const bool below = command.name.starts_with(above) && command.name.size() > above.size();
        const auto rest = below ? command.name.substr(above.size()) : std::string_view{};
        if (!command.summary.empty() && !rest.empty() && !rest.contains(' '))
            names.push_back(rest);
    }
    return bad(cat("unknown command ", config::in_quotes(given)),
               config::suggestion(given, names, "Commands"));
}

/// `flag` is not a flag of every command, and no command precedes it. `others` follow it.
Error flag_before_command(std::string_view flag, std::span<const char* const> others) {
    const auto name = flag.substr(0, flag.find('='));
    const auto known = known_flags(true);
    const bool command_follows = std::ranges::any_of(others, [](std::string_view other) {
        return other == command(Id::Run).name || other == command(Id::Config).name;
    });
    if (find_flag(known, name) != nullptr && command_follows)
        return bad(cat(name, " stands before the command"),
                   cat("Write it after the command: vmm run ", name, " ..."));
    if (find_flag(known, name) != nullptr)
        return bad(cat("there is no command before ", name), cat("Write vmm run ", name, " ..."));
    const auto meant = meant_flag(name, known);
    return bad(cat("unknown flag ", config::in_quotes(name)),
               cat(meant, meant.empty() ? "" : " ",
                   "The command comes first, as in vmm run --kernel FILE; `vmm run --help` lists "
                   "all flags."));
}

struct Split {
    Id command = Id::None;
    std::vector<std::string> rest;  // all but the command's words
};

std::optional<Id> command_named(std::string_view name) {
    for (const Command& command : kCommands)
        if (command.name == name)
            return command.id;
    return std::nullopt;
}

/// `vmm help run` is `vmm run --help`.
Result<Split> split_help(std::span<const char* const> words) {
    Split split;
    std::string name;
    for (const std::string_view word : words) {
        if (word.starts_with("-"))
            continue;
        const auto longer = name.empty() ? std::string{word} : cat(name, " ", word);
        const auto id = command_named(longer);
        if (!id)
            return std::unexpected(unknown_command(word, name.empty() ? "" : cat(name, " ")));
        split.command = *id;
        name = longer;
    }
    split.rest.emplace_back("--help");
    return split;
}

/// Only flags that every command has may stand before the command's words.
Result<Split> split_command(std::span<const char* const> args) {
    Split split;
    std::string words;
    bool complete = false;
    for (std::size_t i = 0; i < args.size(); ++i) {
        const std::string_view arg{args[i]};
        if (complete || arg.starts_with("-")) {
            if (!complete && words.empty() && !is_global(arg))
                return std::unexpected(flag_before_command(arg, args.subspan(i + 1)));
            split.rest.emplace_back(arg);
            if (!complete && takes_next(arg) && i + 1 < args.size())
                split.rest.emplace_back(args[++i]);
            continue;
        }
        if (words.empty() && arg == "help")
            return split_help(args.subspan(i + 1));
        if (words.empty() && arg == "version")
            return Split{.command = Id::None, .rest = {"--version"}};
        const auto name = words.empty() ? std::string{arg} : cat(words, " ", arg);
        const auto id = command_named(name);
        if (!id || arg.empty())
            return std::unexpected(unknown_command(arg, words.empty() ? "" : cat(words, " ")));
        split.command = *id;
        words = name;
        complete = *id != Id::Config;
    }
    return split;
}

// ---------------------------------------------------------------- the flags

/// Whether `word` may be the flag with these names: `--memory=1G`, `-m`, or `-m` among other
/// letters.
bool may_name(std::string_view word, std::string_view names) {
    if (word.starts_with("--"))
        return has_name(names, word.substr(0, word.find('=')));
    return word.starts_with('-') && std::ranges::any_of(word.substr(1), [&](char letter) {
               return has_name(names, cat("-", letter));
           });
}

/// The flags of one command, as CLI11 knows them.
class Parser {
public:
    explicit Parser(const Command& command)
        : takes_machine_{command.takes_machine}, known_{known_flags(command.takes_machine)} {
        app_.set_help_flag();
        app_.allow_extras();
        help_ = app_.add_flag("-h,--help");
        version_ = app_.add_flag("-V,--version");
        places_ = app_.add_flag("-v,--verbose");
        level_ = value_option("-l,--log-level");
        log_file_ = value_option("--log-file");
        log_to_file_ = app_.add_flag("--log-to-file");
        if (!takes_machine_)
            return;
        config_ = value_option("--config");
        pid_file_ = value_option("--pid-file");
        sandbox_ = value_option("--sandbox");
        seccomp_ = value_option("--seccomp");
        sandbox_report_ = app_.add_flag("--sandbox-report");
    }

    Result<Arguments> parse(Split split) {
        auto [words, wrong] = arrange_flags(split.rest, known_);
        if (takes_machine_)
            add_machine_flags(words);
        const auto last = words.empty() ? std::string{} : words.back();
        std::ranges::for_each(words, mark_empty);
        std::ranges::reverse(words);  // CLI11 takes them from the end
        try {
            app_.parse(std::move(words));
        } catch (const CLI::ArgumentMismatch& /*only the last one can lack its value*/) {
            if (!wrong.empty())
                return std::unexpected(unknown_flag(wrong, split.command));
            return std::unexpected(bad(cat(last, " needs a value"),
                                       cat("See the flag in `", help_call(split.command), "`.")));
        } catch (const CLI::ParseError& error) {
            return std::unexpected(bad(error.what(), "See vmm --help."));
        }
        Arguments arguments;
        arguments.command = split.command;
        arguments.help = VMM_TRY(is_given(*help_));
        arguments.version = VMM_TRY(is_given(*version_));
        arguments.places = VMM_TRY(is_given(*places_));
        if (arguments.help || arguments.version)
            return arguments;
        if (!wrong.empty())
            return std::unexpected(unknown_flag(wrong, split.command));
        if (const auto left = app_.remaining(); !left.empty())
            return std::unexpected(left_over(left.front(), split.command));
        arguments.log = VMM_TRY(log_settings());
        if (!takes_machine_)
            return arguments;
        arguments.config_file = last_value(*config_).value_or("");
        arguments.pid_file = last_value(*pid_file_).value_or("");
        arguments.sandbox = VMM_TRY(sandbox_options());
        collect_machine(arguments);
        return arguments;
    }

private:
    /// Those that may be in `words`: CLI11 compares each new flag with all that it has, so the
    /// whole table would cost a start the square of its length.
    void add_machine_flags(std::span<const std::string> words) {
        for (const config::Flag& flag : config::all_flags()) {
            const auto named = [&](std::string_view word) { return may_name(word, flag.names()); };
            if (!std::ranges::any_of(words, named))
                continue;
            CLI::Option* option = value_option(std::string{flag.names()});
            if (flag.value_optional())
                option->expected(0, 1);
            machine_.emplace(option, flag);
        }
    }

    CLI::Option* value_option(std::string names) {
        return app_.add_option(std::move(names))
            ->expected(1)
            ->allow_extra_args(false)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }

    /// CLI11 lets `--help=x` pass.
    static Result<bool> is_given(const CLI::Option& flag) {
        for (const auto& value : flag.results())
            if (value != "true")
                return std::unexpected(bad(cat(flag.get_name(), " takes no value"),
                                           cat("Remove ", config::in_quotes(plain(value)), ".")));
        return flag.count() != 0;
    }

    static std::optional<std::string> last_value(const CLI::Option& option) {
        if (option.count() == 0)
            return std::nullopt;
        return plain(option.results().back());
    }

    static void mark_empty(std::string& arg) {
        if (arg.starts_with("--") && arg.find('=') == arg.size() - 1)
            arg += kEmptyMark;
    }

    static std::string plain(std::string value) {
        if (value.ends_with(kEmptyMark))
            value.pop_back();
        return value;
    }

    Error left_over(const std::string& arg, Id id) const {
        if (arg.starts_with("-") && arg != "-")
            return unknown_flag(std::string_view{arg}.substr(0, arg.find('=', 2)), id);
        const auto& name = command(id).name;
        auto what = cat("unexpected argument ", config::in_quotes(plain(arg)));
        if (arg == "help" || !takes_machine_)
            return bad(std::move(what), cat("`", help_call(id), "` says what it takes."));
        return bad(std::move(what), cat("Each value needs its flag: vmm ", name, " ",
                                        flag_meant_for(arg), " ", plain(arg), "?"));
    }

    Error unknown_flag(std::string_view name, Id id) const {
        const auto meant = meant_flag(name, known_);
        return bad(cat("unknown flag ", config::in_quotes(name)),
                   cat(meant, meant.empty() ? "" : " ", "`", help_call(id), "` lists all flags."));
    }

    Result<log::Settings> log_settings() const {
        log::Settings settings;
        if (VMM_TRY(is_given(*log_to_file_)))
            settings.file = cat("vmm-", getpid(), ".log");
        if (log_file_->count() != 0)
            settings.file = plain(log_file_->results().back());
        if (!settings.file.empty())
            settings.level = log::Level::Info;
        if (level_->count() != 0) {
            const auto level = VMM_TRY_OR(
                config::parse_choice(plain(level_->results().back()), kLevels), "--log-level");
            settings.level = static_cast<log::Level>(level);
        }
        return settings;
    }

    /// --sandbox off means no filters either, unless somebody asks for them.
    Result<sandbox::Options> sandbox_options() const {
        sandbox::Options options{.mode = sandbox::Mode::On, .seccomp = sandbox::Seccomp::On};
        if (const auto mode = last_value(*sandbox_))
            options.mode = static_cast<sandbox::Mode>(
                VMM_TRY_OR(config::parse_choice(*mode, kSandboxModes), "--sandbox"));
        if (options.mode == sandbox::Mode::Off)
            options.seccomp = sandbox::Seccomp::Off;
        if (auto mode = last_value(*seccomp_)) {
            if (const auto as_switch = config::parse_switch(*mode))  // Cloud Hypervisor's words
                *mode = *as_switch ? "on" : "off";
            options.seccomp = static_cast<sandbox::Seccomp>(
                VMM_TRY_OR(config::parse_choice(*mode, kSeccompModes), "--seccomp"));
        }
        options.report = VMM_TRY(is_given(*sandbox_report_));
        return options;
    }

    void collect_machine(Arguments& arguments) const {
        std::map<const CLI::Option*, std::size_t> used;
        for (const CLI::Option* option : app_.parse_order()) {
            const auto found = machine_.find(option);
            if (found == machine_.end())
                continue;
            const auto& value = option->results().at(used[option]++);
            const bool left_out = value.empty() && found->second.value_optional();
            arguments.flags.push_back({found->second, left_out ? "on" : plain(value)});
        }
    }

    bool takes_machine_;
    std::vector<KnownFlag> known_;
    CLI::App app_;
    CLI::Option* help_ = nullptr;
    CLI::Option* version_ = nullptr;
    CLI::Option* places_ = nullptr;
    CLI::Option* level_ = nullptr;
    CLI::Option* log_file_ = nullptr;
    CLI::Option* log_to_file_ = nullptr;
    CLI::Option* config_ = nullptr;
    CLI::Option* pid_file_ = nullptr;
    CLI::Option* sandbox_ = nullptr;
    CLI::Option* seccomp_ = nullptr;
    CLI::Option* sandbox_report_ = nullptr;
    std::map<const CLI::Option*, config::Flag> machine_;
};

}  // namespace

std::span<const Command> commands() {
    return kCommands;
}

const Command& command(Id id) {
    return *std::ranges::find(kCommands, id, &Command::id);
}

Result<Arguments> parse_arguments(std::span<const char* const> args) {
    Split split = VMM_TRY(split_command(args));
    return Parser{command(split.command)}.parse(std::move(split));
}

bool wants_places(std::span<const char* const> args) {
    return std::ranges::any_of(
        args, [](std::string_view arg) { return arg == "-v" || arg == "--verbose"; });
}

}  // namespace vmm::cli
