// SPDX-License-Identifier: Apache-2.0
#include "kvm/x86_64/io_apic.hpp"

#include "kvm/x86_64/msi_route.hpp"

namespace vmm::kvm {
namespace {

// Registers in memory, 82093AA 3.1.
constexpr std::uint64_t kSelect = 0x00;
constexpr std::uint64_t kWindow = 0x10;
constexpr std::uint64_t kEndOfInterrupt = 0x40;

// Registers behind the window, 3.2.
constexpr std::uint8_t kId = 0;
constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kArbitrationId = 2;
constexpr std::uint8_t kTable = 0x10;  // two registers an entry
constexpr std::uint32_t kIdMask = 0x0f00'0000;
constexpr std::uint32_t kVersionWithEndOfInterrupt = 0x20;

// An entry, 3.2.4.
constexpr std::uint64_t kLogical = 1U << 11;
constexpr std::uint64_t kDeliveryStatus = 1U << 12;
constexpr std::uint64_t kRemoteIrr = 1U << 14;
constexpr std::uint64_t kLevel = 1U << 15;
constexpr std::uint64_t kMasked = 1U << 16;
constexpr std::uint64_t kReadOnly = kDeliveryStatus | kRemoteIrr;

}  // namespace

bool IoApic::Pin::masked() const {
    return (entry & kMasked) != 0;
}

bool IoApic::Pin::level_triggered() const {
    return (entry & kLevel) != 0;
}

MsiMessage IoApic::Pin::message() const {
    constexpr std::uint32_t kAsserted = 1U << 14;
    const std::uint64_t destination = entry >> 56;
    const std::uint64_t high_destination = entry >> 49 & 0x7f;  // bits 14:8, for 15-bit ids
    const auto vector_and_mode = static_cast<std::uint32_t>(entry & 0x7ff);
    return {.address = 0xfee0'0000 | destination << 12 | high_destination << 5 |
                       ((entry & kLogical) != 0 ? 4U : 0U),
            .data = vector_and_mode |
                    (level_triggered() ? static_cast<std::uint32_t>(kLevel) | kAsserted : 0U)};
}

void IoApic::clear() noexcept {
    selected_ = 0;
    id_ = 0;
    for (Pin& pin : pins_)
        pin = {.entry = kMasked, .high = pin.high};
}

void IoApic::reset() noexcept {
    const std::lock_guard guard{lock()};
    clear();
    for (std::uint32_t pin = 0; pin < kPins; ++pin)
        route(pin);
}

std::uint64_t IoApic::read(Access access) noexcept {
    if (access.is(kWindow, AccessSize::Dword))
        return read_register();
    if (access.offset == kSelect)
        return selected_;
    return kAllOnes;
}

void IoApic::write(Access access, std::uint64_t value) noexcept {
    if (access.offset == kSelect)
        selected_ = static_cast<std::uint8_t>(value);
    else if (access.is(kWindow, AccessSize::Dword))
        write_register(static_cast<std::uint32_t>(value));
    else if (access.offset == kEndOfInterrupt)
        end_locked(static_cast<std::uint8_t>(value));
}

std::uint32_t IoApic::read_register() const noexcept {
    if (selected_ == kId || selected_ == kArbitrationId)
        return id_;
    if (selected_ == kVersion)
        return (kPins - 1) << 16 | kVersionWithEndOfInterrupt;
    if (selected_ < kTable || selected_ >= kTable + 2 * kPins)
        return 0;
    const Pin& pin = pins_[(selected_ - kTable) / 2U];
    const std::uint64_t entry = pin.entry | (pin.remote_irr ? kRemoteIrr : 0);
    return static_cast<std::uint32_t>(selected_ % 2 == 0 ? entry : entry >> 32);
}

void IoApic::write_register(std::uint32_t value) noexcept {
    if (selected_ == kId)
        id_ = value & kIdMask;
    if (selected_ < kTable || selected_ >= kTable + 2 * kPins)
        return;
    const std::uint32_t pin = (selected_ - kTable) / 2U;
    const std::uint64_t old = pins_[pin].entry;
    constexpr std::uint64_t kLow = 0xffff'ffff;
    write_entry(pin, selected_ % 2 == 0 ? (old & ~kLow) | value
                                        : (old & kLow) | std::uint64_t{value} << 32);
}

void IoApic::write_entry(std::uint32_t index, std::uint64_t entry) noexcept {
    Pin& pin = pins_[index];
    pin.entry = entry & ~kReadOnly;
    // Guests end an interrupt by hand in this way where there is no EOI register.
    if (!pin.level_triggered())
        pin.remote_irr = false;
    route(index);
    if (pin.level_triggered())
        send_if_due(pin);
}

void IoApic::route(std::uint32_t index) noexcept {
    const Pin& pin = pins_[index];
    // Also while masked, if the end of an interrupt is still to come.
    const bool wanted = pin.level_triggered() && (!pin.masked() || pin.remote_irr);
    routes_.route_pin(index, wanted ? std::optional{pin.message()} : std::nullopt);
}

void IoApic::set_pin(std::uint32_t index, bool high) noexcept {
    const std::lock_guard guard{lock()};
    Pin& pin = pins_[index];
    const bool rose = high && !pin.high;
    pin.high = high;
    if (pin.level_triggered())
        send_if_due(pin);
    else if (rose && !pin.masked())
        send(pin);
}

void IoApic::send_if_due(Pin& pin) noexcept {
    if (!pin.high || pin.masked() || pin.remote_irr)
        return;
    pin.remote_irr = true;
    send(pin);
}

void IoApic::send(const Pin& pin) noexcept {
    const auto route = msi_route(pin.message(), true);
    if (!route)
        return;  // no such destination
    kvm_msi message{};
    message.address_lo = route->address_lo;
    message.address_hi = route->address_hi;
    message.data = route->data;
    vm_.attempt(KVM_SIGNAL_MSI, &message);  // refused: a destination that is not there
}

void IoApic::end_of_interrupt(std::uint8_t vector) noexcept {
    const std::lock_guard guard{lock()};
    end_locked(vector);
}

void IoApic::end_locked(std::uint8_t vector) noexcept {
    for (std::uint32_t index = 0; index < kPins; ++index) {
        Pin& pin = pins_[index];
        if (!pin.remote_irr || (pin.entry & 0xff) != vector)
            continue;
        pin.remote_irr = false;
        if (pin.masked())
            route(index);
        send_if_due(pin);
    }
}

}  // namespace vmm::kvm
