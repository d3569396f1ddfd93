// SPDX-License-Identifier: Apache-2.0
// The host's sides of a machine's serial port, console and console ports: what the guest writes to
// and where its input comes from.
//
// Threads: the machine's main thread. The sinks are for any thread.
#pragma once

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/char/char_backend.hpp"
#include "config/vm_config.hpp"
#include "machine/console_watch.hpp"
#include "machine/last_output.hpp"
#include "machine/platform.hpp"
#include "virtio_console/console.hpp"
#include "vmm/byte_channel.hpp"
#include "vmm/error.hpp"

namespace vmm::machine {

/// How the machine says something to the user at the keyboard while it runs.
using Tell = std::function<void(std::string_view)>;

class Consoles {
public:
    /// Everything outlives this.
    Consoles(const VmConfig& config, boost::asio::io_context& loop, CharBackendEvents& events,
             const Tell& tell)
        : config_{config}, loop_{loop}, events_{events}, tell_{tell} {}
    Consoles(const Consoles&) = delete;
    Consoles& operator=(const Consoles&) = delete;

    Result<> open_serial();
    Result<> open_virtio();  ///< console and ports

    ByteSink* serial() const { return serial_.watch.get(); }    ///< null: it is off
    ByteSink* console() const { return console_.watch.get(); }  ///< null: it is off
    std::vector<ByteSink*> ports() const;                       ///< in the configuration's order
    std::optional<TerminalSize> console_size() const;

    /// The devices, each null where its side is.
    struct Devices {
        std::optional<SerialPort> serial;
        virtio_console::Console* console = nullptr;
        virtio_console::Console* ports = nullptr;
    };
    /// Starts input. The devices live until detach().
    void attach(Devices devices);
    /// Ends input, and brings the terminal back. Also without attach().
    void detach() noexcept;

    /// Of the one terminal.
    void resized(TerminalSize size) noexcept;

    /// Brings output that is still on its way to its reader, for `at_most`, and says what was lost.
    std::vector<std::string> drain(std::chrono::milliseconds at_most);

    /// The kernel's last panic line that went over one of them; empty if none.
    std::string last_panic() const;
    void forget_panic() noexcept;

private:
    struct Side {
        std::unique_ptr<CharBackend> backend;  // null: it is off
        std::unique_ptr<ConsoleWatch> watch;   // in front of it; null: no kernel prints there
    };
    template <class Channel>
    Result<> open(Side& side, const Channel& config, const std::string& name);
    std::vector<const Side*> sides() const;
    std::vector<LastOutput> outputs() const;

    const VmConfig& config_;
    boost::asio::io_context& loop_;
    CharBackendEvents& events_;
    const Tell& tell_;
    Side serial_;
    Side console_;
    std::vector<Side> ports_;
    Devices devices_;
};

}  // namespace vmm::machine
