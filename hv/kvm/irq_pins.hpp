// The interrupt controller's input pins. Private to hv/kvm.
// Spec: api.rst, 4.25 KVM_IRQ_LINE, 4.75 KVM_IRQFD.
// Threads: any. Ownership: lines must not outlive the IrqPins they came from.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "kvm/ioctl.hpp"
#include "vmm/hv.hpp"

namespace vmm::kvm {

class IrqPins {
public:
    explicit IrqPins(const Handle& vm) : vm_{vm} {}

    std::unique_ptr<IrqLine> line(hv::Gsi gsi);

    Result<> connect_irqfd(hv::Gsi gsi, int eventfd);
    void disconnect_irqfd(hv::Gsi gsi, int eventfd) noexcept;

private:
    class Line;

    /// Lines that share a pin. KVM keeps one level for all of user space, so the OR is ours.
    struct Pin {
        std::uint32_t gsi = 0;
        std::mutex mutex;  ///< also around the ioctl, or two levels could arrive in the wrong order
        unsigned lines_high = 0;
    };

    const Handle& vm_;
    std::mutex mutex_;  ///< pins_; not taken to change a level
    std::map<hv::Gsi, Pin> pins_;
};

}  // namespace vmm::kvm
