// A machine of one architecture, put together from a VmConfig: RAM, devices, vCPUs, payload.
//
// src/machine/x86_64 has the PC. Threads: the machine's main thread calls everything.
#pragma once

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/vm_config.hpp"
#include "machine/lifecycle.hpp"
#include "vmm/error.hpp"

namespace vmm::machine {

/// How the machine says something to the person at the keyboard while it runs.
using Tell = std::function<void(std::string_view)>;

struct BoardParts {
    const VmConfig& config;
    boost::asio::io_context& loop;  ///< host events; run by the main thread
    Events& events;
    const Tell& tell;
};

class Board {
public:
    virtual ~Board() = default;

    virtual Result<> start() = 0;  ///< the vCPUs run from here on
    virtual Result<> reset() = 0;  ///< power-on state, payload loaded again, vCPUs running
    virtual void pause() = 0;      ///< parks the vCPUs
    virtual void stop() = 0;       ///< ends and joins the vCPU threads
    virtual void press_power_button() = 0;
    virtual void look_at_disks() = 0;  ///< they may have other sizes now; in any state

    /// Brings output that is still on its way to the host's side; says what was lost. After stop().
    virtual std::vector<std::string> drain(std::chrono::milliseconds at_most) = 0;

    /// The kernel's last panic line that went over a console since the last reset; empty if none.
    virtual std::string last_panic() const = 0;
};

Result<std::unique_ptr<Board>> make_board(const BoardParts& parts);

}  // namespace vmm::machine
