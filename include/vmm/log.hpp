// SPDX-License-Identifier: Apache-2.0
// Records for whoever looks after the host. Not for what a user at the keyboard must read (cli
// prints that), and nothing that a guest can trigger at will above debug.
//
// Levels: error  something that was asked for does not work any more
//         warn   works, but not as well as it should (fallback taken, odd guest: once per kind)
//         info   life cycle: started, reset, powered off
//         debug  what a developer wants to see; trace: every access
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/error.hpp"
#include "vmm/text.hpp"

namespace vmm::log {

enum class Level : std::uint8_t { Trace, Debug, Info, Warn, Error, Off };

struct Settings {
    Level level = Level::Warn;
    std::string file;  ///< empty: standard error
};

/// Once, before other threads start. Until then Warn and above go to standard error.
Result<> configure(const Settings& settings);

bool enabled(Level level) noexcept;

/// Any thread; never from a signal handler.
void write(Level level, std::string_view text) noexcept;

template <class... Parts>
void debug(const Parts&... parts) {
    if (enabled(Level::Debug))
        write(Level::Debug, cat(parts...));
}
template <class... Parts>
void info(const Parts&... parts) {
    if (enabled(Level::Info))
        write(Level::Info, cat(parts...));
}
template <class... Parts>
void warn(const Parts&... parts) {
    if (enabled(Level::Warn))
        write(Level::Warn, cat(parts...));
}
template <class... Parts>
void error(const Parts&... parts) {
    if (enabled(Level::Error))
        write(Level::Error, cat(parts...));
}

}  // namespace vmm::log
