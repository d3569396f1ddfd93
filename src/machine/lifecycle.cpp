// SPDX-License-Identifier: Apache-2.0
#include "machine/lifecycle.hpp"

#include <bit>
#include <utility>

#include "vmm/text.hpp"

namespace vmm::machine {
namespace {

constexpr std::uint32_t bit(Event event) {
    return std::uint32_t{1} << std::to_underlying(event);
}

constexpr Event from(GuestEvent event) {
    switch (event) {
        case GuestEvent::PowerOff:
            return Event::PowerOff;
        case GuestEvent::Reset:
            return Event::Reset;
        case GuestEvent::Panicked:
            return Event::Panicked;
        case GuestEvent::CrashKernelLoaded:
            return Event::CrashKernelLoaded;
        case GuestEvent::ShutDown:
            break;
    }
    return Event::ShutDown;
}

constexpr Event from(VcpuStop::Why why) {
    switch (why) {
        case VcpuStop::Why::TripleFault:
            return Event::TripleFault;
        case VcpuStop::Why::PowerOff:
            return Event::PowerOff;
        case VcpuStop::Why::Reset:
            return Event::Reset;
        case VcpuStop::Why::Crash:
            return Event::Crash;
        case VcpuStop::Why::HostFailed:
            return Event::HostFailed;
        case VcpuStop::Why::Failed:
            break;
    }
    return Event::Failed;
}

Decision end(Ending ending, std::string message = {}) {
    return {Decision::Do::End,
            {.ending = ending, .value = 0, .message = std::move(message), .advice = {}}};
}

Decision on_panic(OnPanic policy) {
    switch (policy) {
        case OnPanic::Exit:
            return end(Ending::Panicked, "the guest's kernel panicked");
        case OnPanic::Reset:
            return {Decision::Do::Reset, {}};
        case OnPanic::Pause:
            return {Decision::Do::Pause, {}};
        case OnPanic::Continue:
            break;
    }
    return {};
}

}  // namespace

Decision decide(Event event, const Policies& policies, std::string text) {
    switch (event) {
        case Event::HostFailed:
            return end(Ending::HostFailed, std::move(text));
        case Event::Failed:
            return end(Ending::Crashed, std::move(text));
        case Event::TestExit:
            return end(Ending::TestExit);
        case Event::Panicked:
            return on_panic(policies.on_panic);
        case Event::PowerOff:
            return end(Ending::PoweredOff);
        case Event::TripleFault:
        case Event::Crash:
            if (policies.on_crash == OnCrash::Reset)
                return {Decision::Do::Reset, {}};
            return end(Ending::Crashed, std::move(text));
        case Event::Reset:
            if (policies.on_reset == OnReset::Reset)
                return {Decision::Do::Reset, {}};
            return end(Ending::Reset, "the guest asked for a reset");
        case Event::CrashKernelLoaded:
        case Event::ShutDown:
            break;
    }
    return {};
}

Result<std::unique_ptr<Events>> Events::create(const Policies& policies) {
    auto wake = VMM_TRY(EventFd::create());
    return std::unique_ptr<Events>{new Events{policies, std::move(wake)}};
}

bool Events::stops_the_guest(Event event) const {
    return decide(event, policies_).what != Decision::Do::Continue;
}

void Events::notify(GuestEvent event) noexcept {
    raise(from(event));
}

void Events::raise(Event event) noexcept {
    if (vcpus_ && stops_the_guest(event))
        vcpus_->hold();
    if ((raised_.fetch_or(bit(event)) & bit(event)) == 0)
        wake_.signal();
}

void Events::raise_exit(std::uint8_t value) noexcept {
    exit_value_.store(value);
    raise(Event::TestExit);
}

void Events::report(unsigned index, const VcpuStop& stop) noexcept {
    const auto event = from(stop.why);
    {
        const std::lock_guard guard{mutex_};
        auto& words = words_[std::to_underlying(event)];
        if (words.text.empty() && !stop.text.empty())
            words = {.text = cat("vCPU ", index, ": ", stop.text), .advice = stop.advice};
    }
    raise(event);
}

std::optional<Events::Taken> Events::take() noexcept {
    wake_.drain();
    const auto raised = raised_.load();
    if (raised == 0)
        return std::nullopt;
    const auto event = static_cast<Event>(std::countr_zero(raised));
    raised_.fetch_and(~bit(event));
    const std::lock_guard guard{mutex_};
    return Taken{event, std::exchange(words_[std::to_underlying(event)], {})};
}

void Events::clear() noexcept {
    wake_.drain();
    raised_.store(0);
    const std::lock_guard guard{mutex_};
    words_.fill({});
}

}  // namespace vmm::machine
