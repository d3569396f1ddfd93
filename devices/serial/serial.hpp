// SPDX-License-Identifier: Apache-2.0
// A 16550A serial port with its FIFOs.
//
// Spec: Texas Instruments PC16550D (SNLS378), section and table names as there.
// Here: FIFOs and trigger levels, interrupt identification with its priorities, loop-back, modem
//   status with its deltas, scratch register, divisor latch.
// Not here: time on the wire. A byte is sent when it is written; a character timeout is there as
//   soon as fewer bytes than the trigger level wait. Parity, framing and break do not exist, so
//   their bits in the line status never rise, and "set break" is stored without effect. DMA modes
//   do nothing. OUT2 does not gate the interrupt (on a PC it is board logic), because small guests
//   forget to set it.
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
#include "vmm/register.hpp"
#include "vmm/stateful.hpp"

namespace vmm {

class Serial final : public IoDevice, public ByteChannelUser, public Resettable, public Stateful {
public:
    static constexpr std::uint64_t kRegionSize = 8;  // bytes
    static constexpr std::size_t kFifoSize = 16;     // bytes, each way

    struct InterruptEnable : Register<InterruptEnable, std::uint8_t> {
        using Register::Register;
        static constexpr std::uint8_t kWritable = 0x0f;
        static constexpr Bit<InterruptEnable, 0> received{};        // ERBFI
        static constexpr Bit<InterruptEnable, 1> transmit_empty{};  // ETBEI
        static constexpr Bit<InterruptEnable, 2> line_status{};     // ELSI
        static constexpr Bit<InterruptEnable, 3> modem_status{};    // EDSSI
    };

    struct FifoControl : Register<FifoControl, std::uint8_t> {
        using Register::Register;
        static constexpr Bit<FifoControl, 0> enable{};
        static constexpr Bit<FifoControl, 1> clear_receive{};   // falls by itself
        static constexpr Bit<FifoControl, 2> clear_transmit{};  // falls by itself
        static constexpr Field<FifoControl, 7, 6> trigger{};    // 1, 4, 8, 14 bytes
    };

    struct LineControl : Register<LineControl, std::uint8_t> {
        using Register::Register;
        static constexpr Bit<LineControl, 7> divisor_access{};  // DLAB
    };

    struct ModemControl : Register<ModemControl, std::uint8_t> {
        using Register::Register;
        static constexpr std::uint8_t kWritable = 0x1f;
        static constexpr Bit<ModemControl, 0> data_terminal_ready{};
        static constexpr Bit<ModemControl, 1> request_to_send{};
        static constexpr Bit<ModemControl, 2> out1{};
        static constexpr Bit<ModemControl, 3> out2{};
        static constexpr Bit<ModemControl, 4> loop{};
    };

    struct LineStatus : Register<LineStatus, std::uint8_t> {
        using Register::Register;
        static constexpr Bit<LineStatus, 0> data_ready{};
        static constexpr Bit<LineStatus, 1> overrun{};           // falls when read
        static constexpr Bit<LineStatus, 5> transmit_empty{};    // THRE: holding register or FIFO
        static constexpr Bit<LineStatus, 6> transmitter_idle{};  // TEMT: and the shift register
    };

    struct ModemStatus : Register<ModemStatus, std::uint8_t> {
        using Register::Register;
        static constexpr Bit<ModemStatus, 0> clear_to_send_changed{};  // 3:0 fall when read
        static constexpr Bit<ModemStatus, 1> data_set_ready_changed{};
        static constexpr Bit<ModemStatus, 2> ring_ended{};
        static constexpr Bit<ModemStatus, 3> carrier_changed{};
        static constexpr Bit<ModemStatus, 4> clear_to_send{};
        static constexpr Bit<ModemStatus, 5> data_set_ready{};
        static constexpr Bit<ModemStatus, 6> ring{};
        static constexpr Bit<ModemStatus, 7> carrier{};
    };

    Serial(IrqLine& irq, ByteSink& out) : irq_{irq}, out_{out} {}

    std::uint64_t read(Access access) noexcept override;
    void write(Access access, std::uint64_t value) noexcept override;

    /// Takes input only from when the guest listens: it enabled the interrupt, or it polls. Linux
    /// empties the receiver when it opens the port, and input that came early would be lost.
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
    static std::size_t capacity(FifoControl control) {
        return control[FifoControl::enable] ? kFifoSize : 1;
    }
    std::size_t capacity() const { return capacity(fifo_control_); }
    std::uint8_t take_received();
    std::uint8_t take_line_status();
    std::uint8_t take_modem_status();
    std::uint8_t identify_interrupt();
    void transmit(std::uint8_t byte);
    void loop_back(std::uint8_t byte);
    void send_waiting();
    void set_transmitter_empty(bool empty);
    void write_interrupt_enable(std::uint8_t value);
    void write_fifo_control(std::uint8_t value);
    void write_modem_control(std::uint8_t value);
    void ask_for_input();
    void update_data_ready();
    std::uint8_t pending_interrupt() const;
    void update_interrupt();

    IrqLine& irq_;
    ByteSink& out_;

    // After power-on: "Master Reset" table; the modem lines of a connected peer are all up.
    InterruptEnable interrupt_enable_;
    FifoControl fifo_control_;
    LineControl line_control_;
    ModemControl modem_control_;
    LineStatus line_status_{0x60};
    ModemStatus modem_status_{0xb0};
    std::uint8_t scratch_ = 0;
    std::uint16_t divisor_ = 1;  // 115200 baud; a guest that divides by it must not find 0
    Fifo received_;
    Fifo sending_;                     // empty unless the host's buffer is full
    bool transmit_interrupt_ = false;  // the transmitter became empty and nobody has noticed yet
    bool input_waits_ = false;         // receive() took less than all
    unsigned polls_ = 0;               // reads of the line status since the last write
    bool interrupt_high_ = false;
};

}  // namespace vmm
