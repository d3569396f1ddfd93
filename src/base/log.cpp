#include "vmm/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <string>

#include "vmm/log_name.hpp"

namespace vmm::log {
namespace {

std::atomic<Level> threshold{Level::Warn};

std::string& logger_name() {
    static std::string name{"vmm"};
    return name;
}

// Made when the first record is written: most runs write none, and start-up does not wait for it.
std::shared_ptr<spdlog::logger>& sink() {
    static auto logger = std::make_shared<spdlog::logger>(
        logger_name(), std::make_shared<spdlog::sinks::stderr_sink_mt>());
    return logger;
}

constexpr spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
        case Level::Trace:
            return spdlog::level::trace;
        case Level::Debug:
            return spdlog::level::debug;
        case Level::Info:
            return spdlog::level::info;
        case Level::Warn:
            return spdlog::level::warn;
        case Level::Error:
            return spdlog::level::err;
        case Level::Off:
            break;
    }
    return spdlog::level::off;
}

}  // namespace

void name_records(std::string_view machine) {
    if (!machine.empty())
        logger_name() = cat("vmm ", machine);
}

Result<> configure(const Settings& settings) {
    threshold.store(settings.level, std::memory_order_relaxed);
    if (settings.file.empty())
        return {};
    try {
        sink() = std::make_shared<spdlog::logger>(
            logger_name(), std::make_shared<spdlog::sinks::basic_file_sink_mt>(settings.file));
    } catch (const spdlog::spdlog_ex& failure) {
        return std::unexpected(
            Error{ErrorKind::Config, failure.what()}.context(cat("open log file ", settings.file)));
    }
    sink()->set_level(spdlog::level::trace);
    sink()->flush_on(spdlog::level::trace);
    return {};
}

bool enabled(Level level) noexcept {
    return level >= threshold.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view text) noexcept {
    try {
        sink()->log(to_spdlog(level), text);
    } catch (...) {
        return;  // a record that cannot be written must not stop a machine
    }
}

}  // namespace vmm::log
