// SPDX-License-Identifier: Apache-2.0
#include "pci_hotplug/pci_hotplug.hpp"

#include <mutex>
#include <utility>

#include "vmm/assert.hpp"

namespace vmm {
namespace {

namespace registers = acpi::pci_hotplug;

constexpr std::uint16_t kStateVersion = 1;
constexpr std::uint32_t kHostBridge = 1;  // slot 0

std::uint32_t bit_of(unsigned slot) noexcept {
    VMM_ASSERT(slot > 0 && slot < PciHotplug::kSlots);
    return std::uint32_t{1} << slot;
}

}  // namespace

std::uint64_t PciHotplug::read(Access access) noexcept {
    if (access.is(registers::kAdded, AccessSize::Dword))
        return take(added_);
    if (access.is(registers::kAsked, AccessSize::Dword))
        return take(untold_);
    if (access.is(registers::kEject, AccessSize::Dword))
        return ejected_;
    return kAllOnes;
}

void PciHotplug::write(Access access, std::uint64_t value) noexcept {
    if (!access.is(registers::kEject, AccessSize::Dword))
        return;
    const std::uint32_t gone = static_cast<std::uint32_t>(value) & asked_;
    if (gone == 0)
        return;
    asked_ &= ~gone;
    untold_ &= ~gone;
    ejected_ |= gone;
    update_line();
    events_.slot_ejected();
}

std::uint32_t PciHotplug::take(std::uint32_t& bits) noexcept {
    const std::uint32_t taken = std::exchange(bits, 0);
    update_line();
    return taken;
}

void PciHotplug::update_line() noexcept {
    irq_.set((added_ | untold_) != 0);
}

void PciHotplug::device_came(unsigned slot) noexcept {
    added_ |= bit_of(slot);
    update_line();
}

void PciHotplug::ask_for(unsigned slot) noexcept {
    const std::uint32_t bit = bit_of(slot) & ~ejected_;
    asked_ |= bit;
    untold_ |= bit;
    update_line();
}

void PciHotplug::device_went(unsigned slot) noexcept {
    const std::uint32_t others = ~bit_of(slot);
    added_ &= others;
    untold_ &= others;
    asked_ &= others;
    ejected_ &= others;
    update_line();
}

void PciHotplug::reset() noexcept {
    added_ = untold_ = asked_ = ejected_ = 0;
    update_line();
}

void PciHotplug::save(StateWriter& to) {
    const std::scoped_lock held{lock()};
    const StateWriter::Section section{to, kStateVersion};
    to.put(added_);
    to.put(untold_);
    to.put(asked_);
    to.put(ejected_);
}

Result<> PciHotplug::restore(StateReader& from) {
    StateReader state = VMM_TRY(from.section("hot-plug controller", kStateVersion));
    const auto added = state.get<std::uint32_t>("added slots");
    const auto untold = state.get<std::uint32_t>("untold slots");
    const auto asked = state.get<std::uint32_t>("asked slots");
    const auto ejected = state.get<std::uint32_t>("ejected slots");
    state.require((added & kHostBridge) == 0, "added slots", "has the host bridge's");
    state.require((asked & kHostBridge) == 0, "asked slots", "has the host bridge's");
    state.require((ejected & kHostBridge) == 0, "ejected slots", "has the host bridge's");
    state.require((untold & ~asked) == 0, "untold slots", "has some that nobody asked for");
    state.require((ejected & asked) == 0, "ejected slots", "has some that the guest still has");
    VMM_TRY(state.done());

    const std::scoped_lock held{lock()};
    added_ = added;
    untold_ = untold;
    asked_ = asked;
    ejected_ = ejected;
    update_line();
    if (ejected_ != 0)
        events_.slot_ejected();
    return {};
}

}  // namespace vmm
