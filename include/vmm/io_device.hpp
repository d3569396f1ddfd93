// SPDX-License-Identifier: Apache-2.0
// What a bus asks of a device.
#pragma once

#include <cstdint>

#include "vmm/mutex.hpp"

namespace vmm {

enum class AccessSize : std::uint8_t { Byte = 1, Word = 2, Dword = 4, Qword = 8 };

/// One guest access, already checked by the bus to lie inside the device's region.
struct Access {
    std::uint64_t offset = 0;  ///< bytes from the start of the region, not a bus address
    AccessSize size = AccessSize::Byte;

    constexpr bool is(std::uint64_t at, AccessSize width) const {
        return offset == at && size == width;
    }
};

/// A device region behind port I/O or MMIO. It does not know where it is mapped.
///
/// Threads: every call is made with lock() held. The bus takes it for guest accesses; whoever
/// brings a host event (input, a timer) takes it around the call. The device itself never does.
/// What must happen next is decided under the lock; what reaches another device or the bus itself
/// is done after it (ports such as IrqLine are leaf calls and may be used under it).
/// Errors: none can leave. An access the spec does not define reads as all ones, writes are
/// dropped.
class IoDevice {
public:
    IoDevice() noexcept : IoDevice{LockRank::Device} {}
    IoDevice(const IoDevice&) = delete;
    IoDevice& operator=(const IoDevice&) = delete;
    virtual ~IoDevice() = default;

    /// Only the low `access.size` bytes of the value reach the guest.
    virtual std::uint64_t read(Access access) noexcept = 0;
    virtual void write(Access access, std::uint64_t value) noexcept = 0;

    /// Called by the bus after write(), with lock() released: for what a write decided but may not
    /// do under the lock (moving a BAR, waking another device). Most devices have nothing.
    virtual void after_write() noexcept {}

    /// Regions of one device (its BARs, its configuration space) may share a lock by overriding.
    virtual Mutex& lock() noexcept { return lock_; }

protected:
    /// For one that devices call, or that calls devices.
    explicit IoDevice(LockRank rank) noexcept : lock_{rank} {}

    static constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};

private:
    MutexOfRank lock_;
};

/// Something that goes back to its power-on state when the machine is reset. No vCPU runs then.
class Resettable {
public:
    virtual ~Resettable() = default;
    virtual void reset() noexcept = 0;
};

}  // namespace vmm
