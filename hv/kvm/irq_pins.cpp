#include "kvm/irq_pins.hpp"

#include <linux/kvm.h>

#include <utility>

#include "vmm/log.hpp"
#include "vmm/text.hpp"

namespace vmm::kvm {

class IrqPins::Line final : public IrqLine {
public:
    Line(const Handle& vm, Pin& pin) : vm_{vm}, pin_{pin} {}
    ~Line() override { Line::set(false); }
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;

    void set(bool high) noexcept override {
        const std::scoped_lock lock{pin_.mutex};
        if (std::exchange(high_, high) == high)
            return;
        const bool was_high = pin_.lines_high > 0;
        pin_.lines_high += high ? 1U : ~0U;
        const bool is_high = pin_.lines_high > 0;
        if (was_high == is_high)
            return;
        kvm_irq_level level{};
        level.irq = pin_.gsi;
        level.level = is_high ? 1 : 0;
        if (vm_.attempt(KVM_IRQ_LINE, &level) < 0)
            log::debug("KVM has no interrupt pin ", pin_.gsi);
    }

private:
    const Handle& vm_;
    Pin& pin_;
    bool high_ = false;
};

std::unique_ptr<IrqLine> IrqPins::line(hv::Gsi gsi) {
    const std::scoped_lock lock{mutex_};
    auto& pin = pins_[gsi];  // stays where it is as long as the map lives
    pin.gsi = std::to_underlying(gsi);
    return std::make_unique<Line>(vm_, pin);
}

Result<> IrqPins::connect_irqfd(hv::Gsi gsi, int eventfd) {
    kvm_irqfd irqfd{};
    irqfd.fd = static_cast<std::uint32_t>(eventfd);
    irqfd.gsi = std::to_underlying(gsi);
    VMM_TRY_OR(vm_.call(VMM_REQUEST(KVM_IRQFD), &irqfd),
               cat("cannot connect an eventfd to interrupt pin ", irqfd.gsi));
    return {};
}

void IrqPins::disconnect_irqfd(hv::Gsi gsi, int eventfd) noexcept {
    kvm_irqfd irqfd{};
    irqfd.fd = static_cast<std::uint32_t>(eventfd);
    irqfd.gsi = std::to_underlying(gsi);
    irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
    if (vm_.attempt(KVM_IRQFD, &irqfd) < 0)
        log::debug("KVM knows no eventfd at interrupt pin ", irqfd.gsi);
}

}  // namespace vmm::kvm
