// SPDX-License-Identifier: Apache-2.0
#include "pl011/pl011.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>

namespace vmm {
namespace {

// offset, access, register ("Summary of registers")
constexpr std::uint64_t kData = 0x00;             // rw  UARTDR
constexpr std::uint64_t kErrors = 0x04;           // rw  UARTRSR, UARTECR
constexpr std::uint64_t kFlags = 0x18;            // r   UARTFR
constexpr std::uint64_t kLowPower = 0x20;         // rw  UARTILPR
constexpr std::uint64_t kWholeDivisor = 0x24;     // rw  UARTIBRD
constexpr std::uint64_t kFractionDivisor = 0x28;  // rw  UARTFBRD
constexpr std::uint64_t kLineControl = 0x2c;      // rw  UARTLCR_H
constexpr std::uint64_t kControl = 0x30;          // rw  UARTCR
constexpr std::uint64_t kLevels = 0x34;           // rw  UARTIFLS
constexpr std::uint64_t kMask = 0x38;             // rw  UARTIMSC
constexpr std::uint64_t kRaw = 0x3c;              // r   UARTRIS
constexpr std::uint64_t kMasked = 0x40;           // r   UARTMIS
constexpr std::uint64_t kClear = 0x44;            // w   UARTICR
constexpr std::uint64_t kDmaControl = 0x48;       // rw  UARTDMACR

constexpr PrimeCellId kId{.part = 0x011, .revision = 3};  // r1p5

constexpr std::uint8_t kFractionWritable = 0x3f;
constexpr std::uint8_t kDmaWritable = 0x07;

// An eighth, a quarter, a half, three quarters, seven eighths; the rest is reserved.
constexpr std::array<std::size_t, 8> kEighths{1, 2, 4, 6, 7, 7, 7, 7};

// A guest that looks at the flags this often in a row, while it has nothing to send, waits for
// input without the interrupt. Linux does at most a few such reads when it opens the port.
constexpr std::uint8_t kPollsOfAListener = 16;

constexpr std::uint16_t kStateVersion = 1;
constexpr std::string_view kNotKept = "has bits that are not kept";

using Cr = Pl011::Control;
using Fr = Pl011::Flags;
using Ints = Pl011::Interrupts;
using Lcr = Pl011::LineControl;

constexpr Ints kReceiveInterrupts =
    Ints{}.with(Ints::receive, true).with(Ints::receive_timeout, true);
constexpr Ints kLatching = Ints{}
                               .with(Ints::ring, true)
                               .with(Ints::clear_to_send, true)
                               .with(Ints::carrier, true)
                               .with(Ints::data_set_ready, true)
                               .with(Ints::receive, true)
                               .with(Ints::transmit, true)
                               .with(Ints::overrun, true);

constexpr Ints both(Ints a, Ints b) {
    return Ints{static_cast<std::uint16_t>(a.raw() & b.raw())};
}

}  // namespace

std::uint64_t Pl011::read(Access access) noexcept {
    if (access.size == AccessSize::Qword)
        return kAllOnes;
    switch (access.offset) {
        case kFlags:  // first: this is what a guest reads most
            return take_flags();
        case kData:
            return take_received();
        default:
            return read_register(access.offset);
    }
}

/// Those whose reading changes nothing.
std::uint64_t Pl011::read_register(std::uint64_t offset) const {
    switch (offset) {
        case kErrors:
            return Errors{}.with(Errors::overrun, overrun_).raw();
        case kLowPower:
            return low_power_;
        case kWholeDivisor:
            return whole_divisor_;
        case kFractionDivisor:
            return fraction_divisor_;
        case kLineControl:
            return line_control_.raw();
        case kControl:
            return control_.raw();
        case kLevels:
            return levels_.raw();
        case kMask:
            return mask_.raw();
        case kRaw:
            return raised().raw();
        case kMasked:
            return both(raised(), mask_).raw();
        case kDmaControl:
            return dma_control_;
        default:
            break;
    }
    const auto id = kId.at(offset);
    return id ? *id : kAllOnes;
}

void Pl011::write(Access access, std::uint64_t value) noexcept {
    if (access.size == AccessSize::Qword)
        return;
    polls_ = 0;
    if (access.offset == kData)
        transmit(static_cast<std::uint8_t>(value));
    else
        write_register(access.offset, static_cast<std::uint16_t>(value));
}

void Pl011::write_register(std::uint64_t offset, std::uint16_t value) {
    const auto byte = static_cast<std::uint8_t>(value);
    switch (offset) {
        case kErrors:  // "the data value is not important"
            overrun_ = false;
            break;
        case kLowPower:
            low_power_ = byte;
            break;
        case kWholeDivisor:
            whole_divisor_ = value;
            break;
        case kFractionDivisor:
            fraction_divisor_ = byte & kFractionWritable;
            break;
        case kLineControl:
            write_line_control(byte);
            break;
        case kControl:
            write_control(value);
            break;
        case kLevels:
            levels_ = levels_.written(byte, Levels::kWritable);
            break;
        case kMask:
            mask_ = mask_.written(value, Ints::kWritable);
            break;
        case kClear:
            latched_ = latched_.written(value, 0, value);
            break;
        case kDmaControl:
            dma_control_ = byte & kDmaWritable;
            break;
        default:
            break;
    }
    update_interrupt();
    ask_for_input();
}

bool Pl011::listening() const {
    return control_[Cr::receive_enable] && !control_[Cr::loop_back] &&
           (both(mask_, kReceiveInterrupts) != Ints{} || polls_ >= kPollsOfAListener);
}

/// The interrupt of the receiver is about this many bytes or more.
std::size_t Pl011::receive_level(Lcr control, Levels levels) {
    return control[Lcr::fifos] ? kFifoSize * kEighths[levels[Levels::receive]] / 8 : 1;
}

/// The interrupt of the transmitter is about this many bytes or fewer.
std::size_t Pl011::transmit_level(Lcr control, Levels levels) {
    return control[Lcr::fifos] ? kFifoSize * kEighths[levels[Levels::transmit]] / 8 : 0;
}

Fr Pl011::modem_lines() const {
    const bool loop = control_[Cr::loop_back];
    return Fr{}
        .with(Fr::clear_to_send, !loop || control_[Cr::request_to_send])
        .with(Fr::data_set_ready, !loop || control_[Cr::data_transmit_ready])
        .with(Fr::carrier, !loop || control_[Cr::out1])
        .with(Fr::ring, loop && control_[Cr::out2]);
}

Fr Pl011::flags() const {
    return modem_lines()
        .with(Fr::busy, !sending_.empty())
        .with(Fr::receive_empty, received_.empty())
        .with(Fr::transmit_full, sending_.size() >= capacity())
        .with(Fr::receive_full, received_.size() >= capacity())
        .with(Fr::transmit_empty, sending_.empty());
}

Ints Pl011::raised() const {
    return latched_.with(Ints::receive_timeout, !received_.empty());
}

std::uint16_t Pl011::take_flags() {
    if (sending_.empty() && polls_ < kPollsOfAListener) {
        ++polls_;
        ask_for_input();
    }
    return flags().raw();
}

std::size_t Pl011::receive(std::span<const std::byte> bytes) noexcept {
    const std::size_t room = listening() ? capacity() - received_.size() : 0;
    const std::size_t taken = std::min(room, bytes.size());
    for (const std::byte byte : bytes.first(taken))
        received_.push(std::to_integer<std::uint8_t>(byte));
    input_waits_ = taken < bytes.size();
    update_interrupt();
    return taken;
}

void Pl011::ask_for_input() {
    if (input_waits_ && received_.empty() && listening()) {
        input_waits_ = false;
        out_.resume_input();
    }
}

std::uint16_t Pl011::take_received() {
    if (received_.empty())
        return 0;
    const Data data = Data{}
                          .with(Data::byte, received_.pop())
                          .with(Data::overrun, std::exchange(overrun_in_data_, false));
    update_interrupt();
    ask_for_input();
    return data.raw();
}

void Pl011::transmit(std::uint8_t byte) {
    if (control_[Cr::loop_back]) {
        loop_back(byte);
        return;
    }
    // A byte that finds the FIFO full is lost: the guest did not look at the flags.
    if (sending_.size() < capacity())
        sending_.push(byte);
    else
        out_.count_lost(1);
    send_waiting();
}

void Pl011::loop_back(std::uint8_t byte) {
    latched_ = latched_.with(Ints::transmit, true);
    if (control_[Cr::receive_enable]) {
        if (received_.size() < capacity()) {
            received_.push(byte);
        } else {  // "only the contents of the shift register are overwritten"
            overrun_ = overrun_in_data_ = true;
            latched_ = latched_.with(Ints::overrun, true);
        }
    }
    update_interrupt();
}

void Pl011::send_waiting() {
    while (!sending_.empty()) {
        const auto bytes = sending_.front();
        const std::size_t taken = out_.write(bytes);
        sending_.drop(taken);
        // "Based on a transition through a level": a FIFO that empties at once has none, so each
        // byte that leaves counts as one. A driver that has filled what the interrupt promised,
        // and waits for the next one, would wait for ever.
        if (taken != 0)
            latched_ = latched_.with(Ints::transmit, true);
        if (taken < bytes.size())
            break;
    }
    update_interrupt();
}

void Pl011::on_room() noexcept {
    if (!sending_.empty())
        send_waiting();
}

void Pl011::write_line_control(std::uint8_t value) {
    const bool had_fifos = line_control_[Lcr::fifos];
    line_control_ = Lcr{value};
    // "Flush the transmit FIFO by setting the FEN bit to 0"; what is left of the receiver is one
    // byte, and nobody could say which. Bytes that wait when FIFOs are turned on keep waiting.
    if (had_fifos && !line_control_[Lcr::fifos]) {
        received_.clear();
        overrun_in_data_ = false;
        if (!sending_.empty())
            latched_ = latched_.with(Ints::transmit, true);
        sending_.clear();
    }
}

void Pl011::write_control(std::uint16_t value) {
    const Fr before = modem_lines();
    control_ = control_.written(value, Cr::kWritable);
    const Fr after = modem_lines();
    const auto note = [&](auto line, auto interrupt) {
        if (before[line] != after[line])
            latched_ = latched_.with(interrupt, true);
    };
    note(Fr::ring, Ints::ring);
    note(Fr::clear_to_send, Ints::clear_to_send);
    note(Fr::carrier, Ints::carrier);
    note(Fr::data_set_ready, Ints::data_set_ready);
}

/// After whatever changes a FIFO, a level or an interrupt.
void Pl011::update_interrupt() {
    const bool enough = received_.size() >= receive_level(line_control_, levels_);
    if (std::exchange(enough_received_, enough) != enough)
        latched_ = latched_.with(Ints::receive, enough);
    if (sending_.size() > transmit_level(line_control_, levels_))
        latched_ = latched_.with(Ints::transmit, false);

    const bool high = both(raised(), mask_) != Ints{};
    if (std::exchange(interrupt_high_, high) != high)
        irq_.set(high);
}

void Pl011::reset() noexcept {
    control_ = Cr{0x0300};
    line_control_ = Lcr{};
    levels_ = Levels{0x12};
    mask_ = latched_ = Ints{};
    low_power_ = dma_control_ = fraction_divisor_ = 0;
    whole_divisor_ = 0;
    received_.clear();
    out_.count_lost(drop_output());
    overrun_ = overrun_in_data_ = false;
    polls_ = 0;
    update_interrupt();
}

// What follows from the rest is left out: the flags, the timeout of the receiver, whether it is at
// its level, the level of the interrupt.
void Pl011::save(StateWriter& to) {
    const std::scoped_lock held{lock()};
    const StateWriter::Section section{to, kStateVersion};
    to.put(control_.raw());
    to.put(line_control_.raw());
    to.put(levels_.raw());
    to.put(mask_.raw());
    to.put(latched_.raw());
    to.put(low_power_);
    to.put(dma_control_);
    to.put(whole_divisor_);
    to.put(fraction_divisor_);
    to.put(overrun_);
    to.put(overrun_in_data_);
    to.put(polls_);
    received_.save(to);
    sending_.save(to);
}

Result<> Pl011::restore(StateReader& from) {
    StateReader state = VMM_TRY(from.section("UART", kStateVersion));
    const Cr control{state.get<std::uint16_t>("control")};
    state.require(control == Cr{}.written(control.raw(), Cr::kWritable), "control", kNotKept);
    const Lcr line{state.get<std::uint8_t>("line control")};
    const Levels levels{state.get<std::uint8_t>("levels", Levels::kWritable)};
    const Ints mask{state.get<std::uint16_t>("interrupt mask", Ints::kWritable)};
    const Ints latched{state.get<std::uint16_t>("interrupts")};
    state.require(latched == both(latched, kLatching), "interrupts", kNotKept);
    const auto low_power = state.get<std::uint8_t>("low-power counter");
    const auto dma = state.get<std::uint8_t>("DMA control", kDmaWritable);
    const auto whole = state.get<std::uint16_t>("divisor");
    const auto fraction = state.get<std::uint8_t>("divisor's fraction", kFractionWritable);
    const bool overrun = state.get_flag("overrun");
    const bool overrun_in_data = state.get_flag("overrun in data");
    const auto polls = state.get<std::uint8_t>("polls", kPollsOfAListener);
    const Fifo received = Fifo::restored(state, "received bytes", capacity(line));
    const Fifo sending = Fifo::restored(state, "bytes to send", capacity(line));
    const bool enough = received.size() >= receive_level(line, levels);
    const bool low = sending.size() <= transmit_level(line, levels);
    state.require((enough || !latched[Ints::receive]) && (low || !latched[Ints::transmit]),
                  "interrupts", "do not fit the bytes that wait");
    state.require(!overrun_in_data || !received.empty(), "overrun in data", "has no data");
    VMM_TRY(state.done());

    const std::scoped_lock held{lock()};
    control_ = control;
    line_control_ = line;
    levels_ = levels;
    mask_ = mask;
    latched_ = latched;
    low_power_ = low_power;
    dma_control_ = dma;
    whole_divisor_ = whole;
    fraction_divisor_ = fraction;
    overrun_ = overrun;
    overrun_in_data_ = overrun_in_data;
    polls_ = polls;
    received_ = received;
    sending_ = sending;
    enough_received_ = enough;
    update_interrupt();
    on_room();
    ask_for_input();
    return {};
}

}  // namespace vmm
