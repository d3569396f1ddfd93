// SPDX-License-Identifier: Apache-2.0
// The clock and battery-backed RAM of a PC: MC146818A behind an index and a data port.
//
// Spec: Motorola MC146818A data sheet (ADI-1006), "Address map" and registers A to D; the century
//   byte at 0x32 is what the FADT names (ACPI 6.5, 5.2.9). Time is UTC.
// Here: the time in BCD or binary, 12 or 24 hours; setting it moves our distance to the host's
//   clock; update in progress (UIP) and update ended (UF) follow the host's seconds.
// Not here: interrupts, so alarms are stored and never go off and the periodic flag never rises;
//   daylight saving; a stopped divider (register A is stored). The bit of the index port that
//   masks NMIs on a PC does nothing.
// Threads: as vmm/io_device.hpp.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "vmm/clock.hpp"
#include "vmm/io_device.hpp"
#include "vmm/register.hpp"
#include "vmm/stateful.hpp"

namespace vmm {

class Rtc final : public IoDevice, public Resettable, public Stateful {
public:
    static constexpr std::uint64_t kRegionSize = 2;  // bytes: index, data
    static constexpr std::uint8_t kCentury = 0x32;   // index of the century byte

    struct StatusA : Register<StatusA, std::uint8_t> {
        using Register::Register;
        static constexpr std::uint8_t kWritable = 0x7f;
        static constexpr Bit<StatusA, 7> update_in_progress{};  // UIP
    };

    struct StatusB : Register<StatusB, std::uint8_t> {
        using Register::Register;
        static constexpr Bit<StatusB, 1> hours_24{};
        static constexpr Bit<StatusB, 2> binary{};                  // DM
        static constexpr Bit<StatusB, 4> update_ended_interrupt{};  // UIE
        static constexpr Bit<StatusB, 7> set{};                     // the time stands still
    };

    struct StatusC : Register<StatusC, std::uint8_t> {
        using Register::Register;
        static constexpr Bit<StatusC, 4> update_ended{};  // UF, falls when read
        static constexpr Bit<StatusC, 7> interrupt{};     // IRQF
    };

    explicit Rtc(const Clock& clock);

    std::uint64_t read(Access access) noexcept override;
    void write(Access access, std::uint64_t value) noexcept override;

    /// As a board with a battery: time and RAM stay.
    void reset() noexcept override;

    /// The guest's time is saved as its distance to the host's: it goes on while nobody runs.
    void save(StateWriter& to) override;
    Result<> restore(StateReader& from) override;

private:
    /// As the guest wrote them, which need not be a date: fields come one after the other.
    struct Fields {
        unsigned second = 0;
        unsigned minute = 0;
        unsigned hour = 0;     // 0 to 23
        unsigned weekday = 1;  // 1 is Sunday
        unsigned day = 1;
        unsigned month = 1;
        unsigned year = 0;  // of the century
        unsigned century = 0;
    };

    static void save_fields(StateWriter& to, const Fields& fields);
    static Fields restore_fields(StateReader& from);
    static Fields fields_of(std::chrono::sys_seconds time);
    static std::chrono::sys_seconds time_of(const Fields& fields);

    std::uint8_t read_register(std::uint8_t index);
    void write_register(std::uint8_t index, std::uint8_t value);
    std::uint8_t read_status_a() const;
    std::uint8_t take_status_c();
    void write_status_b(StatusB value);

    std::chrono::sys_seconds host_time() const;
    Fields now() const;
    void set(const Fields& fields);
    static unsigned* field(Fields& fields, std::uint8_t index);
    std::uint8_t encode(unsigned value) const;
    unsigned decode(std::uint8_t value) const;
    std::uint8_t encode_hour(unsigned hour) const;
    unsigned decode_hour(std::uint8_t value) const;

    const Clock& clock_;
    std::uint8_t index_ = 0;  // below 128
    StatusA status_a_;
    StatusB status_b_;
    std::chrono::seconds ahead_{0};  // the guest's time less the host's
    Fields held_;                    // the time while it stands still
    std::chrono::sys_seconds seen_;  // host's time when register C was last read
    std::array<std::uint8_t, 128> ram_{};
};

}  // namespace vmm
