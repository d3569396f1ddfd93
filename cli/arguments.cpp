#include "cli/arguments.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "config/suggest.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::cli {
namespace {

using Id = Command::Id;

constexpr std::array kCommands{
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

constexpr std::array<std::string_view, 6> kGlobalFlags{"--log-level", "--log-file", "--log-to-file",
                                                       "--verbose",   "--version",  "--help"};

Error bad(std::string what, std::string advice) {
    return Error{ErrorKind::Config, std::move(what)}.hint(std::move(advice));
}

std::string help_call(Id id) {
    const auto name = command(id).name;
    return cat("vmm ", name, name.empty() ? "" : " ", "--help");
}

// ---------------------------------------------------------------- the command's words

bool global_takes_value(std::string_view arg) {
    return arg == "-l" || arg == "--log-level" || arg == "--log-file";
}

bool is_global(std::string_view arg) {
    const auto name = arg.substr(0, arg.find('='));
    return std::ranges::find(kGlobalFlags, name) != kGlobalFlags.end() || arg.starts_with("-l") ||
           arg == "-v" || arg == "-h" || arg == "-V";
}

Error unknown_command(std::string_view given, std::string_view above) {
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

Error flag_before_command(std::string_view arg) {
    const auto name = arg.substr(0, arg.find('='));
    bool of_machine = name == "--config";
    for (const config::Flag& flag : config::all_flags())
        of_machine = of_machine || cat(",", flag.names(), ",").contains(cat(",", name, ","));
    if (of_machine)
        return bad(cat(name, " stands before the command"),
                   cat("Write it behind the command: vmm run ", name, " ..."));
    return bad(cat("unknown flag ", config::in_quotes(name)),
               config::suggestion(name, kGlobalFlags, "Flags before the command"));
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

/// Only flags that every command has may stand before the command's words.
Result<Split> split_command(std::span<const char* const> args) {
    Split split;
    std::string words;
    bool complete = false;
    for (std::size_t i = 0; i < args.size(); ++i) {
        const std::string_view arg{args[i]};
        if (complete || arg.starts_with("-")) {
            if (!complete && words.empty() && !is_global(arg))
                return std::unexpected(flag_before_command(arg));
            split.rest.emplace_back(arg);
            if (!complete && global_takes_value(arg) && i + 1 < args.size())
                split.rest.emplace_back(args[++i]);
            continue;
        }
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

/// The flags of one command, as CLI11 knows them.
class Parser {
public:
    explicit Parser(const Command& command) : takes_machine_{command.takes_machine} {
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
        for (const config::Flag& flag : config::all_flags()) {
            CLI::Option* option = value_option(std::string{flag.names()});
            if (flag.value_optional())
                option->expected(0, 1);
            machine_.emplace(option, flag);
        }
    }

    Result<Arguments> parse(Split split) {
        const auto last = split.rest.empty() ? std::string{} : split.rest.back();
        std::ranges::for_each(split.rest, mark_empty);
        std::ranges::reverse(split.rest);  // CLI11 takes them from the end
        try {
            app_.parse(std::move(split.rest));
        } catch (const CLI::ArgumentMismatch& /*only the last one can lack its value*/) {
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
        if (const auto left = app_.remaining(); !left.empty())
            return std::unexpected(left_over(left.front(), split.command));
        arguments.log = VMM_TRY(log_settings());
        if (config_ != nullptr && config_->count() != 0)
            arguments.config_file = plain(config_->results().back());
        collect_machine(arguments);
        return arguments;
    }

private:
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
        const auto& name = command(id).name;
        if (!arg.starts_with("-") || arg == "-")
            return bad(cat("unexpected argument ", config::in_quotes(plain(arg))),
                       takes_machine_ ? cat("Each value needs its flag: vmm ", name, " --kernel ",
                                            plain(arg), "?")
                                      : cat("`", help_call(id), "` says what it takes."));
        const auto given = std::string_view{arg}.substr(0, arg.find('=', 2));
        std::vector<std::string_view> known{kGlobalFlags.begin(), kGlobalFlags.end()};
        if (takes_machine_)
            known.emplace_back("--config");
        for (const auto& [option, flag] : machine_)
            for (auto names = flag.names(); !names.empty();) {
                known.push_back(names.substr(0, names.find(',')));
                names.remove_prefix(std::min(names.size(), known.back().size() + 1));
            }
        const auto near = config::nearest(given, known);
        return bad(cat("unknown flag ", config::in_quotes(given)),
                   cat(near.empty() ? "" : cat("Did you mean ", near, "? "), "`", help_call(id),
                       "` lists all flags."));
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
    CLI::App app_;
    CLI::Option* help_ = nullptr;
    CLI::Option* version_ = nullptr;
    CLI::Option* places_ = nullptr;
    CLI::Option* level_ = nullptr;
    CLI::Option* log_file_ = nullptr;
    CLI::Option* log_to_file_ = nullptr;
    CLI::Option* config_ = nullptr;
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
