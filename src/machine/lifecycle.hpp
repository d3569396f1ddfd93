// SPDX-License-Identifier: Apache-2.0
// What can happen to a machine, who says so, and what the policies make of it.
//
// Events come from devices (any vCPU thread), vCPUs, and the host (main thread). They are flags,
// not a queue: a guest that raises one a million times costs one bit. The main thread takes them
// and asks decide() what is to be done.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "config/vm_config.hpp"
#include "machine/vcpu_set.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/guest_events.hpp"
#include "vmm/mutex.hpp"

namespace vmm::machine {

/// In the order in which they win when several happened at once.
enum class Event : std::uint8_t {
    HostFailed,
    Failed,
    TestExit,  ///< the debug exit port, with its value
    Panicked,
    PowerOff,
    TripleFault,
    Crash,
    Reset,
    CrashKernelLoaded,
    ShutDown,
};
inline constexpr std::size_t kEvents = 10;

/// How a machine ended; `cli` makes the exit code of it.
enum class Ending : std::uint8_t {
    PoweredOff,
    Quit,
    Reset,       ///< the guest asked for one and the policy was to exit
    Panicked,    ///< pvpanic, and the policy was to exit
    Crashed,     ///< triple fault or a failure of the hypervisor
    HostFailed,  ///< the host lacks what the guest needs
    Signalled,
    TestExit,
};

struct Outcome {
    Ending ending = Ending::PoweredOff;
    int value = 0;        ///< the signal, or what was written to the debug exit port
    std::string message;  ///< for the user; empty when there is nothing to say
    std::string advice;   ///< what the user can do about it
};

struct Policies {
    OnReset on_reset = OnReset::Reset;
    OnCrash on_crash = OnCrash::Exit;
    OnPanic on_panic = OnPanic::Exit;
};

/// What to do now. End carries the outcome.
struct Decision {
    enum class Do : std::uint8_t { Continue, Reset, Pause, End } what = Do::Continue;
    Outcome outcome;
};
Decision decide(Event event, const Policies& policies, std::string text = {});

/// Threads: raise functions from any thread, take() on the main thread.
class Events final : public GuestEvents {
public:
    static Result<std::unique_ptr<Events>> create(const Policies& policies);

    /// Guest events that end or reset the machine stop the vCPU they came from.
    void attach(VcpuSet& vcpus) noexcept { vcpus_ = &vcpus; }

    void notify(GuestEvent event) noexcept override;
    void raise(Event event) noexcept;
    void raise_exit(std::uint8_t value) noexcept;                ///< TestExit
    void report(unsigned index, const VcpuStop& stop) noexcept;  ///< from a vCPU thread

    struct Words {
        std::string text;
        std::string advice;
    };
    struct Taken {
        Event event;
        Words words;
    };
    /// The one that wins among those raised; the others stay, take again.
    std::optional<Taken> take() noexcept;
    /// Forgets what was raised: the machine has just been reset.
    void clear() noexcept;

    std::uint8_t exit_value() const noexcept { return exit_value_.load(); }
    int fd() const noexcept { return wake_.fd(); }

private:
    Events(const Policies& policies, EventFd wake) : policies_{policies}, wake_{std::move(wake)} {}
    bool stops_the_guest(Event event) const;

    Policies policies_;
    EventFd wake_;
    VcpuSet* vcpus_ = nullptr;
    std::atomic<std::uint32_t> raised_ = 0;  // bit = Event
    std::atomic<std::uint8_t> exit_value_ = 0;
    RankedMutex<LockRank::EventTexts> mutex_;  // over words_
    std::array<Words, kEvents> words_;
};

}  // namespace vmm::machine
