// SPDX-License-Identifier: Apache-2.0
#include "acpi_power/acpi_power.hpp"

#include <cstdint>
#include <mutex>
#include <utility>

namespace vmm {
namespace {

using acpi::GedEvents;
using acpi::SleepControl;

constexpr std::uint16_t kStateVersion = 1;
constexpr auto kEventsKnown = GedEvents{}.with(GedEvents::power_button, true);
static_assert(kEventsKnown.raw() == 1);

}  // namespace

std::uint64_t AcpiPower::read(Access access) noexcept {
    if (access.is(kSleepControl, AccessSize::Byte))
        return sleep_control_.raw();
    if (access.is(kSleepStatus, AccessSize::Byte))
        return acpi::SleepStatus{}.raw();
    if (access.is(kEvents, AccessSize::Byte))
        return take_events();
    return kAllOnes;
}

void AcpiPower::write(Access access, std::uint64_t value) noexcept {
    const auto byte = static_cast<std::uint8_t>(value);
    if (access.is(kSleepControl, AccessSize::Byte)) {
        const SleepControl asked{byte};
        sleep_control_ =
            SleepControl{}.with(SleepControl::sleep_type, asked[SleepControl::sleep_type]);
        if (asked[SleepControl::sleep_enable] &&
            asked[SleepControl::sleep_type] == acpi::kSleepTypeS5)
            events_.notify(GuestEvent::PowerOff);
    } else if (access.is(kReset, AccessSize::Byte)) {
        if (byte == acpi::kResetValue)
            events_.notify(GuestEvent::Reset);
    }
}

std::uint8_t AcpiPower::take_events() {
    irq_.set(false);
    return std::exchange(pending_, GedEvents{}).raw();
}

void AcpiPower::press_power_button() noexcept {
    pending_ = pending_.with(GedEvents::power_button, true);
    irq_.set(true);
}

void AcpiPower::reset() noexcept {
    sleep_control_ = SleepControl{};
    take_events();
}

// What the guest wrote last, and events that it has not read yet.
void AcpiPower::save(StateWriter& to) {
    const std::scoped_lock held{lock()};
    const StateWriter::Section section{to, kStateVersion};
    to.put(sleep_control_.raw());
    to.put(pending_.raw());
}

Result<> AcpiPower::restore(StateReader& from) {
    StateReader state = VMM_TRY(from.section("power device", kStateVersion));
    const SleepControl control{state.get<std::uint8_t>("sleep control")};
    const GedEvents pending{state.get<std::uint8_t>("pending events", kEventsKnown.raw())};
    const auto type =
        SleepControl{}.with(SleepControl::sleep_type, control[SleepControl::sleep_type]);
    state.require(control == type, "sleep control", "has bits that are not kept");
    VMM_TRY(state.done());

    const std::scoped_lock held{lock()};
    sleep_control_ = control;
    pending_ = pending;
    irq_.set(pending_ != GedEvents{});
    return {};
}

}  // namespace vmm
