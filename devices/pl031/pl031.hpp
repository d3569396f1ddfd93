// SPDX-License-Identifier: Apache-2.0
// A PrimeCell real-time clock: a counter of seconds.
//
// Spec: Arm PrimeCell Real Time Clock (PL031) Technical Reference Manual, DDI 0224B, chapter 3.
// Here: the count follows the host's UTC; loading it moves our distance to the host's clock. The
//   match with its raw and masked interrupt status: a count that went past it between two accesses
//   has matched, one that the host's clock jumped back over has not. The clock runs from power-on,
//   as firmware would leave it, and cannot be stopped, as the manual says of one that runs.
// Not here: the interrupt pin, so nobody is woken by the match. Whoever describes the board to the
//   guest names no interrupt; Linux then offers no alarm instead of one that never goes off.
// End of time: the count has 32 bits. After 2106-02-07 06:28:15 UTC it goes on at zero, as the
//   hardware's does, and a guest that takes it for seconds since 1970 is back there.
// Accesses: as Pl011: 1, 2 or 4 bytes at a register's offset; a narrow write has zeros above.
// Threads: as vmm/io_device.hpp.
#pragma once

#include <cstdint>

#include "vmm/clock.hpp"
#include "vmm/io_device.hpp"
#include "vmm/primecell.hpp"
#include "vmm/stateful.hpp"

namespace vmm {

class Pl031 final : public IoDevice, public Resettable, public Stateful {
public:
    static constexpr std::uint64_t kRegionSize = kPrimeCellSize;

    explicit Pl031(const Clock& clock) : clock_{clock}, seen_{count()} {}

    std::uint64_t read(Access access) noexcept override;
    void write(Access access, std::uint64_t value) noexcept override;

    /// As a board with a battery: the time stays.
    void reset() noexcept override;

    /// The guest's time is saved as its distance to the host's: it goes on while nobody runs, and
    /// may match.
    void save(StateWriter& to) override;
    Result<> restore(StateReader& from) override;

private:
    std::uint32_t host_seconds() const;
    std::uint32_t count() const { return host_seconds() + ahead_; }
    void load(std::uint32_t value);
    void look_for_match();

    const Clock& clock_;
    std::uint32_t ahead_ = 0;  // the guest's count less the host's, modulo 2^32
    std::uint32_t load_ = 0;   // what was loaded last
    std::uint32_t match_ = 0;
    std::uint32_t seen_;  // the count when look_for_match() last looked
    bool matched_ = false;
    bool unmasked_ = false;
};

}  // namespace vmm
