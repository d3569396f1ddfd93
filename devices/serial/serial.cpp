// SPDX-License-Identifier: Apache-2.0
#include "serial/serial.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

namespace vmm {
namespace {

// offset, access, meaning; all 8 bits wide
constexpr std::uint64_t kData = 0;             // rw  RBR, THR; DLL with DLAB
constexpr std::uint64_t kInterruptEnable = 1;  // rw  IER; DLM with DLAB
constexpr std::uint64_t kIdentification = 2;   // r   IIR
constexpr std::uint64_t kFifoControl = 2;      // w   FCR
constexpr std::uint64_t kLineControl = 3;      // rw  LCR
constexpr std::uint64_t kModemControl = 4;     // rw  MCR
constexpr std::uint64_t kLineStatus = 5;       // r   LSR
constexpr std::uint64_t kModemStatus = 6;      // r   MSR
constexpr std::uint64_t kScratch = 7;          // rw  SCR

// IIR, highest priority first ("Interrupt Control Functions").
constexpr std::uint8_t kLineStatusChanged = 0x06;
constexpr std::uint8_t kDataAvailable = 0x04;
constexpr std::uint8_t kCharacterTimeout = 0x0c;
constexpr std::uint8_t kTransmitterEmpty = 0x02;
constexpr std::uint8_t kModemStatusChanged = 0x00;
constexpr std::uint8_t kNothingPending = 0x01;
constexpr std::uint8_t kFifosEnabled = 0xc0;

constexpr std::array<std::size_t, 4> kTriggerLevels{1, 4, 8, 14};

constexpr std::uint8_t kDeltas = 0x0f;  // modem status, bits that fall when read

// A guest that looks at the line status this often in a row, while it has nothing to send, waits
// for input without the interrupt. Linux does at most a few such reads when it opens the port.
constexpr unsigned kPollsOfAListener = 16;

constexpr std::uint16_t kStateVersion = 1;

using Ier = Serial::InterruptEnable;
using Fcr = Serial::FifoControl;
using Lcr = Serial::LineControl;
using Mcr = Serial::ModemControl;
using Lsr = Serial::LineStatus;
using Msr = Serial::ModemStatus;

/// The four inputs as they are now; their deltas are the caller's.
Msr lines_seen(Mcr control) {
    if (!control[Mcr::loop])
        return Msr{0xb0};
    return Msr{}
        .with(Msr::clear_to_send, control[Mcr::request_to_send])
        .with(Msr::data_set_ready, control[Mcr::data_terminal_ready])
        .with(Msr::ring, control[Mcr::out1])
        .with(Msr::carrier, control[Mcr::out2]);
}

/// `after` with the deltas that lie between the two, on top of those nobody has read yet.
Msr changed(Msr before, Msr after) {
    const auto differ = static_cast<std::uint8_t>((before.raw() ^ after.raw()) >> 4U);
    Msr deltas{differ};
    deltas = deltas.with(Msr::ring_ended, before[Msr::ring] && !after[Msr::ring]);
    return Msr{static_cast<std::uint8_t>((before.raw() & kDeltas) | deltas.raw() |
                                         (after.raw() & ~kDeltas))};
}

}  // namespace

std::uint64_t Serial::read(Access access) noexcept {
    if (access.size != AccessSize::Byte)
        return kAllOnes;

    switch (access.offset) {
        case kLineStatus:  // first: this is what a guest reads most
            return take_line_status();
        case kData:
            if (line_control_[Lcr::divisor_access])
                return divisor_ & 0xffU;
            return take_received();
        case kInterruptEnable:
            if (line_control_[Lcr::divisor_access])
                return divisor_ >> 8U;
            return interrupt_enable_.raw();
        case kIdentification:
            return identify_interrupt();
        case kLineControl:
            return line_control_.raw();
        case kModemControl:
            return modem_control_.raw();
        case kModemStatus:
            return take_modem_status();
        case kScratch:
            return scratch_;
        default:
            return kAllOnes;
    }
}

void Serial::write(Access access, std::uint64_t value) noexcept {
    if (access.size != AccessSize::Byte)
        return;

    const auto byte = static_cast<std::uint8_t>(value);
    polls_ = 0;
    switch (access.offset) {
        case kData:
            if (line_control_[Lcr::divisor_access])
                divisor_ = static_cast<std::uint16_t>((divisor_ & 0xff00U) | byte);
            else
                transmit(byte);
            break;
        case kInterruptEnable:
            if (line_control_[Lcr::divisor_access])
                divisor_ = static_cast<std::uint16_t>((divisor_ & 0x00ffU) | unsigned{byte} << 8U);
            else
                write_interrupt_enable(byte);
            break;
        case kFifoControl:
            write_fifo_control(byte);
            break;
        case kLineControl:
            line_control_ = Lcr{byte};
            break;
        case kModemControl:
            write_modem_control(byte);
            break;
        case kScratch:
            scratch_ = byte;
            break;
        default:  // line and modem status: factory test only, "not intended for other uses"
            break;
    }
}

bool Serial::listening() const {
    return !modem_control_[Mcr::loop] &&
           (interrupt_enable_[Ier::received] || polls_ >= kPollsOfAListener);
}

std::size_t Serial::receive(std::span<const std::byte> bytes) noexcept {
    const std::size_t room = listening() ? capacity() - std::min(capacity(), received_.size()) : 0;
    const std::size_t taken = std::min(room, bytes.size());
    for (const std::byte byte : bytes.first(taken))
        received_.push(std::to_integer<std::uint8_t>(byte));
    input_waits_ = taken < bytes.size();
    update_data_ready();
    update_interrupt();
    return taken;
}

void Serial::ask_for_input() {
    if (input_waits_ && received_.empty() && listening()) {
        input_waits_ = false;
        out_.resume_input();
    }
}

std::uint8_t Serial::take_received() {
    if (received_.empty())
        return 0;
    const std::uint8_t byte = received_.pop();
    update_data_ready();
    update_interrupt();
    ask_for_input();
    return byte;
}

std::uint8_t Serial::take_line_status() {
    const Lsr status = line_status_;
    if (status[Lsr::overrun]) [[unlikely]] {
        line_status_ = status.with(Lsr::overrun, false);
        update_interrupt();
    }
    if (status[Lsr::transmit_empty] && ++polls_ >= kPollsOfAListener && input_waits_)
        ask_for_input();
    return status.raw();
}

std::uint8_t Serial::take_modem_status() {
    const Msr status = modem_status_;
    modem_status_ = Msr{static_cast<std::uint8_t>(status.raw() & ~kDeltas)};
    update_interrupt();
    return status.raw();
}

std::uint8_t Serial::identify_interrupt() {
    const std::uint8_t pending = pending_interrupt();
    if (pending == kTransmitterEmpty) {  // reading this source out is what clears it
        transmit_interrupt_ = false;
        update_interrupt();
    }
    return fifo_control_[Fcr::enable] ? pending | kFifosEnabled : pending;
}

void Serial::transmit(std::uint8_t byte) {
    // Writing is the other way to clear the source. The line falls before the transmitter is empty
    // again, so that an edge-triggered controller sees a new edge.
    if (std::exchange(transmit_interrupt_, false))
        update_interrupt();
    if (modem_control_[Mcr::loop]) {
        loop_back(byte);
        set_transmitter_empty(true);
        update_interrupt();
        return;
    }

    // A byte that finds the FIFO full is lost: the guest did not look at the line status.
    // Linux does that, too, after 10 ms.
    if (sending_.size() < capacity())
        sending_.push(byte);
    else
        out_.count_lost(1);
    send_waiting();
}

void Serial::loop_back(std::uint8_t byte) {
    if (received_.size() < capacity()) {
        received_.push(byte);
    } else {
        // "The character in the shift register is overwritten, but it is not transferred to the
        // FIFO"; without FIFOs the receiver buffer takes the new character.
        if (!fifo_control_[Fcr::enable]) {
            received_.clear();
            received_.push(byte);
        }
        line_status_ = line_status_.with(Lsr::overrun, true);
    }
    update_data_ready();
}

void Serial::send_waiting() {
    while (!sending_.empty()) {
        const auto bytes = sending_.front();
        const std::size_t taken = out_.write(bytes);
        sending_.drop(taken);
        if (taken < bytes.size())
            break;
    }
    set_transmitter_empty(sending_.empty());
    update_interrupt();
}

void Serial::on_room() noexcept {
    if (!sending_.empty())
        send_waiting();
}

void Serial::set_transmitter_empty(bool empty) {
    line_status_ = line_status_.with(Lsr::transmit_empty, empty).with(Lsr::transmitter_idle, empty);
    if (empty)
        transmit_interrupt_ = true;
}

void Serial::write_interrupt_enable(std::uint8_t value) {
    const Ier before =
        std::exchange(interrupt_enable_, interrupt_enable_.written(value, Ier::kWritable));
    // Enabling the source while the transmitter is empty raises it; drivers start that way, and
    // Linux tests for it.
    if (!before[Ier::transmit_empty] && interrupt_enable_[Ier::transmit_empty])
        transmit_interrupt_ = line_status_[Lsr::transmit_empty];
    update_interrupt();
    ask_for_input();
}

void Serial::write_fifo_control(std::uint8_t value) {
    const Fcr asked{value};
    const bool switched = asked[Fcr::enable] != fifo_control_[Fcr::enable];
    // "Bit 0 must be a 1 when other FCR bits are written to or they will not be programmed", and
    // "when changing from FIFO mode to 16450 mode and vice versa, data is automatically cleared".
    if (switched || (asked[Fcr::enable] && asked[Fcr::clear_receive]))
        received_.clear();
    if (switched || (asked[Fcr::enable] && asked[Fcr::clear_transmit])) {
        if (!sending_.empty())
            set_transmitter_empty(true);
        sending_.clear();
    }
    fifo_control_ = asked[Fcr::enable]
                        ? asked.with(Fcr::clear_receive, false).with(Fcr::clear_transmit, false)
                        : Fcr{};
    update_data_ready();
    update_interrupt();
    ask_for_input();
}

void Serial::write_modem_control(std::uint8_t value) {
    modem_control_ = modem_control_.written(value, Mcr::kWritable);
    modem_status_ = changed(modem_status_, lines_seen(modem_control_));
    update_interrupt();
    ask_for_input();
}

void Serial::update_data_ready() {
    line_status_ = line_status_.with(Lsr::data_ready, !received_.empty());
}

std::uint8_t Serial::pending_interrupt() const {
    if (interrupt_enable_[Ier::line_status] && line_status_[Lsr::overrun])
        return kLineStatusChanged;
    if (interrupt_enable_[Ier::received] && !received_.empty()) {
        const bool early = fifo_control_[Fcr::enable] &&
                           received_.size() < kTriggerLevels[fifo_control_[Fcr::trigger]];
        return early ? kCharacterTimeout : kDataAvailable;
    }
    if (interrupt_enable_[Ier::transmit_empty] && transmit_interrupt_)
        return kTransmitterEmpty;
    if (interrupt_enable_[Ier::modem_status] && (modem_status_.raw() & kDeltas) != 0)
        return kModemStatusChanged;
    return kNothingPending;
}

void Serial::update_interrupt() {
    const bool high = pending_interrupt() != kNothingPending;
    if (std::exchange(interrupt_high_, high) != high)
        irq_.set(high);
}

void Serial::reset() noexcept {
    interrupt_enable_ = Ier{};
    fifo_control_ = Fcr{};
    line_control_ = Lcr{};
    modem_control_ = Mcr{};
    line_status_ = Lsr{0x60};
    modem_status_ = Msr{0xb0};
    scratch_ = 0;
    divisor_ = 1;
    received_.clear();
    out_.count_lost(drop_output());
    transmit_interrupt_ = false;
    polls_ = 0;
    update_interrupt();
}

// What follows from the rest is left out: data ready, transmitter empty, the modem's lines, the
// level of the interrupt.
void Serial::save(StateWriter& to) {
    const std::scoped_lock held{lock()};
    const StateWriter::Section section{to, kStateVersion};
    to.put(interrupt_enable_.raw());
    to.put(fifo_control_.raw());
    to.put(line_control_.raw());
    to.put(modem_control_.raw());
    to.put(line_status_[Lsr::overrun]);
    to.put(static_cast<std::uint8_t>(modem_status_.raw() & kDeltas));
    to.put(scratch_);
    to.put(divisor_);
    to.put(transmit_interrupt_);
    to.put(static_cast<std::uint8_t>(std::min(polls_, kPollsOfAListener)));
    received_.save(to);
    sending_.save(to);
}

Result<> Serial::restore(StateReader& from) {
    StateReader state = VMM_TRY(from.section("serial port", kStateVersion));
    const Ier enable{state.get<std::uint8_t>("interrupt enable", Ier::kWritable)};
    const Fcr fifo{state.get<std::uint8_t>("FIFO control")};
    state.require(!fifo[Fcr::clear_receive] && !fifo[Fcr::clear_transmit] &&
                      (fifo[Fcr::enable] || fifo == Fcr{}),
                  "FIFO control", "has bits that are not kept");
    const Lcr line{state.get<std::uint8_t>("line control")};
    const Mcr modem{state.get<std::uint8_t>("modem control", Mcr::kWritable)};
    const bool overrun = state.get_flag("overrun");
    const auto deltas = state.get<std::uint8_t>("modem status", kDeltas);
    const auto scratch = state.get<std::uint8_t>("scratch");
    const auto divisor = state.get<std::uint16_t>("divisor");
    const bool transmit_interrupt = state.get_flag("transmitter interrupt");
    const auto polls = state.get<std::uint8_t>("polls", kPollsOfAListener);
    const Fifo received = Fifo::restored(state, "received bytes", capacity(fifo));
    const Fifo sending = Fifo::restored(state, "bytes to send", capacity(fifo));
    VMM_TRY(state.done());

    const std::scoped_lock held{lock()};
    interrupt_enable_ = enable;
    fifo_control_ = fifo;
    line_control_ = line;
    modem_control_ = modem;
    const bool idle = sending.empty();
    line_status_ = Lsr{}
                       .with(Lsr::overrun, overrun)
                       .with(Lsr::data_ready, !received.empty())
                       .with(Lsr::transmit_empty, idle)
                       .with(Lsr::transmitter_idle, idle);
    modem_status_ = Msr{static_cast<std::uint8_t>(lines_seen(modem).raw() | deltas)};
    scratch_ = scratch;
    divisor_ = divisor;
    transmit_interrupt_ = transmit_interrupt;
    polls_ = polls;
    received_ = received;
    sending_ = sending;
    update_interrupt();
    on_room();
    ask_for_input();
    return {};
}

}  // namespace vmm
