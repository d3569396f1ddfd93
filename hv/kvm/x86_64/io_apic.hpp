// SPDX-License-Identifier: Apache-2.0
// The I/O APIC of machines with APIC ids above 254. Private to hv/kvm.
//
// KVM's own I/O APIC knows destinations of 8 bits. With wider ids KVM keeps the local APICs only
// (KVM_CAP_SPLIT_IRQCHIP), and this device turns a pin's redirection table entry into a message
// that carries 15 bits of destination: what KVM_FEATURE_MSI_EXT_DEST_ID promises the guest.
// Spec: 82093AA (registers), Intel SDM 3A 11.11 (messages); version 0x20, with an EOI register.
// Level triggered pins have a route in KVM's table, by which KVM knows whose end of interrupt to
// tell us of. An edge at a masked pin is lost, as with KVM's. Left out: delivery status, which
// always reads idle. Threads: set_pin(), end_of_interrupt() and reset() any, they take lock().
#pragma once

#include <linux/kvm.h>

#include <array>
#include <cstdint>

#include "kvm/ioctl.hpp"
#include "kvm/irq_routes.hpp"
#include "vmm/io_device.hpp"
#include "vmm/mutex.hpp"

namespace vmm::kvm {

class IoApic final : public IoDevice {
public:
    static constexpr std::uint32_t kPins = 24;

    /// Other devices' lines come with the device's lock held.
    IoApic(const Handle& vm, IrqRoutes& routes)
        : IoDevice{LockRank::IoApic}, vm_{vm}, routes_{routes} {
        clear();
    }

    std::uint64_t read(Access access) noexcept override;
    void write(Access access, std::uint64_t value) noexcept override;

    /// `pin` is below kPins.
    void set_pin(std::uint32_t pin, bool high) noexcept;
    void end_of_interrupt(std::uint8_t vector) noexcept;
    void reset() noexcept;  ///< levels of the pins stay: they are the devices'

private:
    struct Pin {
        std::uint64_t entry = 0;  ///< of the redirection table, without Remote IRR
        bool remote_irr = false;  ///< a level triggered interrupt was sent and not ended
        bool high = false;

        bool masked() const;
        bool level_triggered() const;
        MsiMessage message() const;
    };

    void clear() noexcept;
    std::uint32_t read_register() const noexcept;
    void write_register(std::uint32_t value) noexcept;
    void write_entry(std::uint32_t pin, std::uint64_t entry) noexcept;
    void route(std::uint32_t pin) noexcept;
    void send_if_due(Pin& pin) noexcept;
    void send(const Pin& pin) noexcept;
    void end_locked(std::uint8_t vector) noexcept;

    const Handle& vm_;
    IrqRoutes& routes_;
    std::uint8_t selected_ = 0;
    std::uint32_t id_ = 0;
    std::array<Pin, kPins> pins_;
};

}  // namespace vmm::kvm
