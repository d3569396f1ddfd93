// SPDX-License-Identifier: Apache-2.0
// The interrupt controller's input pins. Private to hv/kvm.
//
// Threads: any. Ownership: lines must not outlive the IrqPins they came from.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "kvm/ioctl.hpp"
#include "vmm/hv.hpp"
#include "vmm/mutex.hpp"

namespace vmm::kvm {

/// A pin of KVM's own interrupt controller. Spec: api.rst, 4.25 KVM_IRQ_LINE.
void set_pin_of_kvm(const Handle& vm, std::uint32_t gsi, bool high) noexcept;

class IrqPins {
public:
    /// Told of a pin's new level under the pin's lock: a leaf call that does not fail.
    using SetLevel = std::function<void(std::uint32_t gsi, bool high)>;

    explicit IrqPins(SetLevel set_level) : set_level_{std::move(set_level)} {}

    std::unique_ptr<IrqLine> line(hv::Gsi gsi);

private:
    class Line;

    /// Lines that share a pin. KVM keeps one level for all of user space, so the OR is ours.
    struct Pin {
        std::uint32_t gsi = 0;
        /// Also around the ioctl, or two levels could arrive in the wrong order.
        RankedMutex<LockRank::IrqPin> mutex;
        unsigned lines_high = 0;
    };

    const SetLevel set_level_;
    RankedMutex<LockRank::IrqPinTable> mutex_;  ///< pins_; not taken to change a level
    std::map<hv::Gsi, Pin> pins_;
};

}  // namespace vmm::kvm
