// SPDX-License-Identifier: Apache-2.0
#include "pl061/pl061.hpp"

#include <mutex>
#include <utility>

#include "vmm/assert.hpp"

namespace vmm {
namespace {

// offset, access, register; all 8 bits wide
constexpr std::uint64_t kData = 0x000;  // rw  GPIODATA: bits 9:2 of the offset are a mask
constexpr std::uint64_t kDataEnd = 0x400;
constexpr std::uint64_t kDirection = 0x400;        // rw  GPIODIR
constexpr std::uint64_t kSense = 0x404;            // rw  GPIOIS
constexpr std::uint64_t kBothEdges = 0x408;        // rw  GPIOIBE
constexpr std::uint64_t kEvent = 0x40c;            // rw  GPIOIEV
constexpr std::uint64_t kMask = 0x410;             // rw  GPIOIE
constexpr std::uint64_t kRaw = 0x414;              // r   GPIORIS
constexpr std::uint64_t kMasked = 0x418;           // r   GPIOMIS
constexpr std::uint64_t kClear = 0x41c;            // w   GPIOIC
constexpr std::uint64_t kHardwareControl = 0x420;  // rw  GPIOAFSEL

constexpr PrimeCellId kId{.part = 0x061, .revision = 0};

constexpr std::uint16_t kStateVersion = 1;

constexpr std::uint8_t without(std::uint8_t bits, std::uint8_t others) {
    return static_cast<std::uint8_t>(bits & ~others);
}

/// Bits of `ones` where `mask` has a one, of `zeros` where it has none.
constexpr std::uint8_t choose(std::uint8_t mask, std::uint8_t ones, std::uint8_t zeros) {
    return static_cast<std::uint8_t>((ones & mask) | without(zeros, mask));
}

constexpr std::uint8_t mask_in(std::uint64_t offset) {
    return static_cast<std::uint8_t>(offset >> 2U);
}

}  // namespace

std::uint64_t Pl061::read(Access access) noexcept {
    if (access.size == AccessSize::Qword || access.offset % 4 != 0)
        return kAllOnes;
    if (access.offset < kDataEnd)
        return take_data(mask_in(access.offset));
    switch (access.offset) {
        case kDirection:
            return direction_;
        case kSense:
            return by_level_;
        case kBothEdges:
            return both_edges_;
        case kEvent:
            return high_or_rising_;
        case kMask:
            return unmasked_;
        case kRaw:
            return raised();
        case kMasked:
            return raised() & unmasked_;
        case kHardwareControl:
            return hardware_control_;
        default:
            break;
    }
    const auto id = kId.at(access.offset);
    return id ? *id : kAllOnes;
}

void Pl061::write(Access access, std::uint64_t value) noexcept {
    if (access.size == AccessSize::Qword || access.offset % 4 != 0)
        return;
    const auto lines = static_cast<Lines>(value);
    if (access.offset < kDataEnd) {  // "if the respective pins have been configured as outputs"
        outputs_ = choose(mask_in(access.offset) & direction_, lines, outputs_);
        return;
    }
    switch (access.offset) {
        case kDirection:
            direction_ = lines;
            break;
        case kSense:
            by_level_ = lines;
            edges_ = without(edges_, by_level_);
            break;
        case kBothEdges:
            both_edges_ = lines;
            break;
        case kEvent:
            high_or_rising_ = lines;
            break;
        case kMask:
            unmasked_ = lines;
            break;
        case kClear:
            edges_ = without(edges_, lines);
            break;
        case kHardwareControl:
            hardware_control_ = lines;
            break;
        default:
            break;
    }
    update_interrupt();
}

Pl061::Lines Pl061::take_data(Lines mask) {
    const Lines value = choose(direction_, outputs_, pressed_) & mask;
    const Lines seen = without(value, direction_);
    if (seen != 0) {
        seen_ |= seen;
        update_interrupt();
    }
    return value;
}

void Pl061::press(unsigned line) noexcept {
    VMM_ASSERT(line < kLines);
    const auto button = static_cast<Lines>(1U << line);
    move(pressed_ & button, false);  // one that nobody has read yet comes up first
    move(button, true);
    update_interrupt();
}

/// `lines`, which are all at the other level, change to this one.
void Pl061::move(Lines lines, bool high) {
    const Lines this_edge = high ? high_or_rising_ : without(0xff, high_or_rising_);
    const Lines detected = lines & (both_edges_ | this_edge);
    edges_ |= without(detected, by_level_ | direction_);
    pressed_ = high ? pressed_ | lines : without(pressed_, lines);
    seen_ = without(seen_, lines);
}

Pl061::Lines Pl061::raised() const {
    const Lines at_level = without(by_level_, (pressed_ ^ high_or_rising_) | direction_);
    return edges_ | at_level;
}

/// After whatever changes a line, or what interrupts.
void Pl061::update_interrupt() {
    // An edge that is still to be cleared would swallow that of the release.
    const Lines released = without(seen_, edges_ & unmasked_);
    if (released != 0)
        move(released, false);

    const bool high = (raised() & unmasked_) != 0;
    if (std::exchange(interrupt_high_, high) != high)
        irq_.set(high);
}

void Pl061::reset() noexcept {
    outputs_ = direction_ = by_level_ = both_edges_ = high_or_rising_ = 0;
    unmasked_ = hardware_control_ = edges_ = pressed_ = seen_ = 0;
    update_interrupt();
}

void Pl061::save(StateWriter& to) {
    const std::scoped_lock held{lock()};
    const StateWriter::Section section{to, kStateVersion};
    for (const Lines lines : {outputs_, direction_, by_level_, both_edges_, high_or_rising_,
                              unmasked_, hardware_control_, edges_, pressed_, seen_})
        to.put(lines);
}

Result<> Pl061::restore(StateReader& from) {
    StateReader state = VMM_TRY(from.section("GPIO controller", kStateVersion));
    const auto outputs = state.get<Lines>("data");
    const auto direction = state.get<Lines>("direction");
    const auto by_level = state.get<Lines>("interrupt sense");
    const auto both_edges = state.get<Lines>("both edges");
    const auto high_or_rising = state.get<Lines>("interrupt event");
    const auto unmasked = state.get<Lines>("interrupt mask");
    const auto hardware_control = state.get<Lines>("mode control");
    const auto edges = state.get<Lines>("interrupts");
    state.require((edges & by_level) == 0, "interrupts", "are by edge and by level");
    const auto pressed = state.get<Lines>("lines");
    const auto seen = state.get<Lines>("lines that were read");
    state.require(without(seen, pressed & edges & unmasked) == 0, "lines that were read",
                  "has lines that are up");
    VMM_TRY(state.done());

    const std::scoped_lock held{lock()};
    outputs_ = outputs;
    direction_ = direction;
    by_level_ = by_level;
    both_edges_ = both_edges;
    high_or_rising_ = high_or_rising;
    unmasked_ = unmasked;
    hardware_control_ = hardware_control;
    edges_ = edges;
    pressed_ = pressed;
    seen_ = seen;
    update_interrupt();
    return {};
}

}  // namespace vmm
