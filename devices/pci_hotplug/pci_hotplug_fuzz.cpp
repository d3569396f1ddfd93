// SPDX-License-Identifier: Apache-2.0
// Random register accesses while devices come, are asked for and go. What must hold at each step:
// only slots that the guest was asked for are ejected, the host hears of each one once, and the
// line is high exactly while there is something to read.
#include <cstddef>
#include <cstdint>

#include "pci_hotplug/pci_hotplug.hpp"
#include "support/fuzz_input.hpp"
#include "support/recording_irq_line.hpp"
#include "vmm/assert.hpp"

namespace vmm {
namespace {

struct Host final : PciHotplugEvents {
    void slot_ejected() noexcept override { ++calls; }
    unsigned calls = 0;
};

constexpr Access register_at(std::uint64_t offset) {
    return {.offset = offset, .size = AccessSize::Dword};
}

void run(test::FuzzInput input) {
    Host host;
    test::RecordingIrqLine irq;
    PciHotplug device{host, irq};
    std::uint32_t asked = 0;    // what the guest may eject
    std::uint32_t ejected = 0;  // and has
    while (!input.empty()) {
        const auto what = input.take<std::uint8_t>();
        const unsigned slot = 1 + what / 8 % (PciHotplug::kSlots - 1);
        const std::uint32_t bit = std::uint32_t{1} << slot;
        const unsigned calls = host.calls;
        std::uint32_t expected = 0;
        switch (what % 8) {
            case 0:
                device.device_came(slot);
                break;
            case 1:
                device.ask_for(slot);
                asked |= bit & ~ejected;
                break;
            case 2:
                device.device_went(slot);
                asked &= ~bit;
                ejected &= ~bit;
                break;
            case 3: {
                const auto value = input.take<std::uint32_t>();
                expected = value & asked;
                device.write(register_at(acpi::pci_hotplug::kEject), value);
                ejected |= expected;
                asked &= ~expected;
                break;
            }
            default: {
                const auto access = input.take<std::uint8_t>();
                const Access at{.offset = access % PciHotplug::kRegionSize,
                                .size = static_cast<AccessSize>(1 << access / 64)};
                if (what % 8 == 4 && !at.is(acpi::pci_hotplug::kEject, AccessSize::Dword))
                    device.write(at, input.take<std::uint64_t>());
                else
                    device.read(at);
                break;
            }
        }
        VMM_ASSERT(device.ejected() == ejected);
        VMM_ASSERT(host.calls == calls + (expected != 0 ? 1 : 0));
    }

    const bool high = irq.high;
    const auto added = device.read(register_at(acpi::pci_hotplug::kAdded));
    const auto untold = device.read(register_at(acpi::pci_hotplug::kAsked));
    VMM_ASSERT(high == ((added | untold) != 0));
    VMM_ASSERT((untold & ~std::uint64_t{asked}) == 0);
    VMM_ASSERT(!irq.high);
}

}  // namespace
}  // namespace vmm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::run({data, size});
    return 0;
}
