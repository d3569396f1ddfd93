// SPDX-License-Identifier: Apache-2.0
#include "kvm/irq_pins.hpp"

#include <linux/kvm.h>

#include <utility>

#include "vmm/log.hpp"

namespace vmm::kvm {

void set_pin_of_kvm(const Handle& vm, std::uint32_t gsi, bool high) noexcept {
    kvm_irq_level level{};
    level.irq = gsi;
    level.level = high ? 1 : 0;
    if (vm.attempt(KVM_IRQ_LINE, &level) < 0)
        log::debug("KVM has no interrupt pin ", gsi);
}

class IrqPins::Line final : public IrqLine {
public:
    Line(const SetLevel& set_level, Pin& pin) : set_level_{set_level}, pin_{pin} {}
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
        set_level_(pin_.gsi, is_high);
    }

private:
    const SetLevel& set_level_;
    Pin& pin_;
    bool high_ = false;
};

std::unique_ptr<IrqLine> IrqPins::line(hv::Gsi gsi) {
    const std::scoped_lock lock{mutex_};
    auto& pin = pins_[gsi];  // stays where it is as long as the map lives
    pin.gsi = std::to_underlying(gsi);
    return std::make_unique<Line>(set_level_, pin);
}

}  // namespace vmm::kvm
