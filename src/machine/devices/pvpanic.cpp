// SPDX-License-Identifier: Apache-2.0
// The device through which a guest reports a panic. It has no host side.
#include "pvpanic/pvpanic.hpp"

#include "config/kinds/kinds.hpp"
#include "machine/devices/kinds.hpp"
#include "pci/function.hpp"

namespace vmm::machine {
namespace {

// QEMU's pci-ids.rst: the pvpanic device. Class: base system peripheral, other.
constexpr pci::Identity kIdentity{.vendor = 0x1b36,
                                  .device = 0x0011,
                                  .subsystem_vendor = 0x1af4,
                                  .subsystem = 0x1100,
                                  .class_code = 0x08'8000,
                                  .revision = 1};
constexpr std::uint64_t kSmallestBar = 16;  // bytes

class PvPanicDevice final : public QueuelessDevice {
public:
    explicit PvPanicDevice(GuestEvents& events) : registers_{events}, function_{kIdentity} {
        function_.add_bar(0, {.kind = pci::BarKind::Memory32, .size = kSmallestBar}, registers_);
    }

    pci::Endpoint& endpoint() noexcept override { return function_; }

private:
    PvPanic registers_;
    pci::Function function_;
};

}  // namespace

std::vector<NewDevice> pvpanic_devices(const VmConfig& config) {
    std::vector<NewDevice> wanted;
    if (config.pvpanic)
        wanted.push_back({config::kPvPanic.name_of(config, 0),
                          [](const std::string&, const DeviceParts& parts) -> Result<MadeDevice> {
                              return MadeDevice{std::make_unique<PvPanicDevice>(parts.events), {}};
                          }});
    return wanted;
}

}  // namespace vmm::machine
