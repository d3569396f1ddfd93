// SPDX-License-Identifier: Apache-2.0
// A PrimeCell GPIO controller whose eight lines are buttons.
//
// Spec: Arm PrimeCell General Purpose Input/Output (PL061) Technical Reference Manual, DDI 0190B,
//   chapter 3.
// Here: data behind its address mask, directions, interrupts by edge, both edges and level,
//   identification.
// Not here: anything at the other end of an output. Hardware control (GPIOAFSEL) is stored without
//   effect, the test registers are missing. A line that is an output detects nothing.
//
// How long a press lasts. A button is down for a moment, and we have no timer; a pulse with no
//   length is seen by nobody: Linux (gpio-keys) acknowledges the edge, waits some milliseconds for
//   the contacts to come to rest, and reports what it then reads. So a line goes high when it is
//   pressed, and low once the guest has read it high and has cleared the edge, in either order and
//   however late. The guest sees a press, then the edge of the release and a line that is low.
//   A press that comes before its driver is found when that reads the lines for the first time. A
//   guest that goes by the rising edge alone never reads: its line stays high until the next press,
//   which is an edge again.
//
// Accesses: as Pl011: 1, 2 or 4 bytes at a register's offset; registers have 8 bits.
// Threads: as vmm/io_device.hpp; press() is called with lock() held as well.
#pragma once

#include <cstdint>

#include "vmm/io_device.hpp"
#include "vmm/irq_line.hpp"
#include "vmm/primecell.hpp"
#include "vmm/stateful.hpp"

namespace vmm {

class Pl061 final : public IoDevice, public Resettable, public Stateful {
public:
    static constexpr std::uint64_t kRegionSize = kPrimeCellSize;
    static constexpr unsigned kLines = 8;

    explicit Pl061(IrqLine& irq) : irq_{irq} {}

    std::uint64_t read(Access access) noexcept override;
    void write(Access access, std::uint64_t value) noexcept override;

    /// All buttons are up, and no press waits.
    void reset() noexcept override;

    void save(StateWriter& to) override;
    Result<> restore(StateReader& from) override;

    /// A button that goes down, and up once the guest has seen it. requires: line < kLines
    void press(unsigned line) noexcept;

private:
    /// A bit for each line.
    using Lines = std::uint8_t;

    Lines take_data(Lines mask);
    void move(Lines lines, bool high);
    Lines raised() const;
    void update_interrupt();

    IrqLine& irq_;
    Lines outputs_ = 0;           // GPIODATA, of lines that are outputs
    Lines direction_ = 0;         // GPIODIR: 1 is an output
    Lines by_level_ = 0;          // GPIOIS
    Lines both_edges_ = 0;        // GPIOIBE
    Lines high_or_rising_ = 0;    // GPIOIEV
    Lines unmasked_ = 0;          // GPIOIE
    Lines hardware_control_ = 0;  // GPIOAFSEL
    Lines edges_ = 0;             // seen and not cleared, of lines that interrupt by edge
    Lines pressed_ = 0;           // lines that are high
    Lines seen_ = 0;              // pressed, and read; low when their edge is cleared
    bool interrupt_high_ = false;
};

}  // namespace vmm
