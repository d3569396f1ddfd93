// SPDX-License-Identifier: Apache-2.0
// A PrimeCell UART with its FIFOs.
//
// Spec: Arm PrimeCell UART (PL011) Technical Reference Manual, DDI 0183G, section and table names
//   as there; revision r1p5, whose FIFOs hold 32 bytes.
// Here: both FIFOs and their levels, interrupts of data, overrun and modem lines, loop-back with
//   its modem lines, identification. The modem lines of a connected peer are all up.
// Not here: time on the wire. A byte is sent when it is written. The timeout of the receiver has
//   always passed: its interrupt is there as long as bytes wait, so clearing it does not last.
//   Parity, framing and break do not exist, so their interrupts never rise. IrDA, DMA, hardware
//   flow control and the divisors are stored without effect; the test registers are missing.
// The enables: UARTEN and TXE hold nothing back. Early consoles of kernels and most small guests
//   never set them, and a guest that cannot say why it fails is no use. RXE, which is set after
//   power-on, does hold input back.
// Accesses: a register is reached at its offset with 1, 2 or 4 bytes. Above its bits it reads as
//   zero and ignores what is written; a narrow write has zeros there.
// Threads: as vmm/io_device.hpp; receive() and on_room() come with lock() held as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "vmm/byte_channel.hpp"
#include "vmm/byte_fifo.hpp"
#include "vmm/io_device.hpp"
#include "vmm/irq_line.hpp"
#include "vmm/primecell.hpp"
#include "vmm/register.hpp"
#include "vmm/stateful.hpp"

namespace vmm {

class Pl011 final : public IoDevice, public ByteChannelUser, public Resettable, public Stateful {
public:
    static constexpr std::uint64_t kRegionSize = kPrimeCellSize;
    static constexpr std::size_t kFifoSize = 32;  // bytes, each way

    struct Data : Register<Data, std::uint16_t> {  // UARTDR
        using Register::Register;
        static constexpr Field<Data, 7, 0, std::uint8_t> byte{};
        static constexpr Bit<Data, 11> overrun{};  // before this byte others were lost
    };

    struct Errors : Register<Errors, std::uint8_t> {  // UARTRSR
        using Register::Register;
        static constexpr Bit<Errors, 3> overrun{};
    };

    struct Flags : Register<Flags, std::uint16_t> {  // UARTFR
        using Register::Register;
        static constexpr Bit<Flags, 0> clear_to_send{};
        static constexpr Bit<Flags, 1> data_set_ready{};
        static constexpr Bit<Flags, 2> carrier{};
        static constexpr Bit<Flags, 3> busy{};
        static constexpr Bit<Flags, 4> receive_empty{};
        static constexpr Bit<Flags, 5> transmit_full{};
        static constexpr Bit<Flags, 6> receive_full{};
        static constexpr Bit<Flags, 7> transmit_empty{};
        static constexpr Bit<Flags, 8> ring{};
    };

    struct LineControl : Register<LineControl, std::uint8_t> {  // UARTLCR_H
        using Register::Register;
        static constexpr Bit<LineControl, 4> fifos{};  // FEN
    };

    struct Control : Register<Control, std::uint16_t> {  // UARTCR
        using Register::Register;
        static constexpr std::uint16_t kWritable = 0xff87;
        static constexpr Bit<Control, 7> loop_back{};       // LBE
        static constexpr Bit<Control, 9> receive_enable{};  // RXE
        static constexpr Bit<Control, 10> data_transmit_ready{};
        static constexpr Bit<Control, 11> request_to_send{};
        static constexpr Bit<Control, 12> out1{};
        static constexpr Bit<Control, 13> out2{};
    };

    struct Levels : Register<Levels, std::uint8_t> {  // UARTIFLS
        using Register::Register;
        static constexpr std::uint8_t kWritable = 0x3f;
        static constexpr Field<Levels, 2, 0> transmit{};
        static constexpr Field<Levels, 5, 3> receive{};
    };

    struct Interrupts : Register<Interrupts, std::uint16_t> {  // UARTIMSC, RIS, MIS, ICR
        using Register::Register;
        static constexpr std::uint16_t kWritable = 0x07ff;
        static constexpr Bit<Interrupts, 0> ring{};
        static constexpr Bit<Interrupts, 1> clear_to_send{};
        static constexpr Bit<Interrupts, 2> carrier{};
        static constexpr Bit<Interrupts, 3> data_set_ready{};
        static constexpr Bit<Interrupts, 4> receive{};
        static constexpr Bit<Interrupts, 5> transmit{};
        static constexpr Bit<Interrupts, 6> receive_timeout{};
        static constexpr Bit<Interrupts, 10> overrun{};
    };

    Pl011(IrqLine& irq, ByteSink& out) : irq_{irq}, out_{out} {}

    std::uint64_t read(Access access) noexcept override;
    void write(Access access, std::uint64_t value) noexcept override;

    /// Takes input only from when the guest listens: it enabled an interrupt of the receiver, or it
    /// polls. Linux empties the receiver when it opens the port, and what came early would be lost.
    std::size_t receive(std::span<const std::byte> bytes) noexcept override;
    void on_room() noexcept override;

    void reset() noexcept override;

    /// Input that the host holds back is the host's. Output that waits for room goes on.
    void save(StateWriter& to) override;
    Result<> restore(StateReader& from) override;

    /// For the end of the machine: whether bytes that the guest has sent still wait for room on the
    /// host; and an end to them, which gives how many they were. No vCPU runs.
    bool has_output() const noexcept { return !sending_.empty(); }
    std::size_t drop_output() noexcept { return std::exchange(sending_, Fifo{}).size(); }

private:
    using Fifo = ByteFifo<kFifoSize>;

    bool listening() const;
    static std::size_t capacity(LineControl control) {
        return control[LineControl::fifos] ? kFifoSize : 1;
    }
    std::size_t capacity() const { return capacity(line_control_); }
    static std::size_t receive_level(LineControl control, Levels levels);
    static std::size_t transmit_level(LineControl control, Levels levels);
    Flags modem_lines() const;
    Flags flags() const;
    Interrupts raised() const;
    std::uint64_t read_register(std::uint64_t offset) const;
    std::uint16_t take_flags();
    std::uint16_t take_received();
    void write_register(std::uint64_t offset, std::uint16_t value);
    void write_line_control(std::uint8_t value);
    void write_control(std::uint16_t value);
    void transmit(std::uint8_t byte);
    void loop_back(std::uint8_t byte);
    void send_waiting();
    void ask_for_input();
    void update_interrupt();

    IrqLine& irq_;
    ByteSink& out_;

    // After power-on: the reset values of table 3-1.
    Control control_{0x0300};
    LineControl line_control_;
    Levels levels_{0x12};  // half full, half empty
    Interrupts mask_;
    Interrupts latched_;  // without the timeout of the receiver, which follows from received_
    std::uint8_t low_power_ = 0;
    std::uint8_t dma_control_ = 0;
    std::uint16_t whole_divisor_ = 0;
    std::uint8_t fraction_divisor_ = 0;
    Fifo received_;
    Fifo sending_;                  // empty unless the host's buffer is full
    bool overrun_ = false;          // until the guest clears it
    bool overrun_in_data_ = false;  // until the guest reads a byte
    bool enough_received_ = false;  // received_ is at its level
    bool input_waits_ = false;      // receive() took less than all
    std::uint8_t polls_ = 0;        // reads of the flags since the last write; stops when enough
    bool interrupt_high_ = false;
};

}  // namespace vmm
