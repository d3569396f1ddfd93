// SPDX-License-Identifier: Apache-2.0
#include "acpi_power/acpi_power.hpp"

#include <utility>

namespace vmm {
namespace {

using acpi::GedEvents;
using acpi::SleepControl;

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

}  // namespace vmm
