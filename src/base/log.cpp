// SPDX-License-Identifier: Apache-2.0
#include "vmm/log.hpp"

#include <fcntl.h>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "vmm/host_stream.hpp"
#include "vmm/log_name.hpp"
#include "vmm/message_stream.hpp"
#include "vmm/mutex.hpp"
#include "vmm/text.hpp"
#include "vmm/unique_fd.hpp"

namespace vmm::log {
namespace {

std::atomic<Level> threshold{Level::Warn};

std::string& logger_name() {
    static std::string name{"vmm"};
    return name;
}

std::string_view two_digits(unsigned number, std::array<char, 2>& digits) {
    digits = {static_cast<char>('0' + number / 10 % 10), static_cast<char>('0' + number % 10)};
    return {digits.data(), digits.size()};
}

/// "[2026-11-30 14:50:54.123Z] [vmm web] [info] text". In UTC and without the C library, whose
/// first conversion of a time opens a file: the sandbox lets nobody do that, and a start has no
/// time for it.
class UtcFormatter final : public spdlog::formatter {
public:
    void format(const spdlog::details::log_msg& record, spdlog::memory_buf_t& line) override {
        using namespace std::chrono;
        const auto now = floor<milliseconds>(record.time);
        const auto day = floor<days>(now);
        const year_month_day date{day};
        const hh_mm_ss time{now - day};
        const auto part = [&line](std::string_view text) {
            line.append(text.data(), text.data() + text.size());
        };
        std::array<char, 2> digits{};
        const auto two = [&](auto number, std::string_view after) {
            part(two_digits(static_cast<unsigned>(number), digits));
            part(after);
        };
        part("[");
        part(cat(static_cast<int>(date.year()), "-"));
        two(static_cast<unsigned>(date.month()), "-");
        two(static_cast<unsigned>(date.day()), " ");
        two(time.hours().count(), ":");
        two(time.minutes().count(), ":");
        two(time.seconds().count(), ".");
        const auto milli = static_cast<unsigned>(time.subseconds().count());
        two(milli / 10, cat(milli % 10, "Z] ["));
        part({record.logger_name.data(), record.logger_name.size()});
        const auto level = spdlog::level::to_string_view(record.level);
        part(cat("] [", std::string_view{level.data(), level.size()}, "] "));
        part({record.payload.data(), record.payload.size()});
        part("\n");
    }
    std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<UtcFormatter>();
    }
};

/// Gives formatted records to a stream that waits for nobody.
class StreamSink final : public spdlog::sinks::base_sink<RankedMutex<LockRank::LogSink>> {
public:
    explicit StreamSink(MessageStream& stream)
        : base_sink{std::make_unique<UtcFormatter>()}, stream_{stream} {}

private:
    void sink_it_(const spdlog::details::log_msg& record) override {
        spdlog::memory_buf_t line;
        formatter_->format(record, line);
        stream_.write({line.data(), line.size()});
    }
    void flush_() override {}

    MessageStream& stream_;
};

std::unique_ptr<MessageStream>& file_stream() {
    static std::unique_ptr<MessageStream> stream;
    return stream;
}

// Made when the first record is written: most runs write none, and start-up does not wait for it.
std::shared_ptr<spdlog::logger>& sink() {
    static auto logger = std::make_shared<spdlog::logger>(
        logger_name(), std::make_shared<StreamSink>(standard_error()));
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

Error cannot_open(const std::string& file, int why) {
    const auto* const advice =
        why == ENXIO ? "If this is a named pipe, start its reader first; for standard error leave "
                       "--log-file out."
                     : "Name a file that you may create or write.";
    return Error::os("open", why)
        .context(cat("open log file ", file))
        .as(ErrorKind::Config)
        .hint(advice);
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
    // O_NONBLOCK: a named pipe without a reader is an error rather than a wait.
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    UniqueFd fd{::open(settings.file.c_str(), flags, 0644)};
    if (!fd)
        return std::unexpected(cannot_open(settings.file, errno));
    file_stream() = std::make_unique<MessageStream>(HostStream::own(std::move(fd)));
    file_stream()->start_writer();  // by this thread, which is the main one
    sink() = std::make_shared<spdlog::logger>(logger_name(),
                                              std::make_shared<StreamSink>(*file_stream()));
    sink()->set_level(spdlog::level::trace);
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
