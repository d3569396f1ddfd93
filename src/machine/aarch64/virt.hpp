// SPDX-License-Identifier: Apache-2.0
// The board: a GIC, a PL011, a clock, a power button, PCI Express, and vCPUs that start a kernel.
//
// What lies where is arch/aarch64's layout.hpp; this puts the parts there and joins them.
// Members stand in the order in which they come up. Threads: as platform.hpp.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aarch64/device_tree.hpp"
#include "aarch64/layout.hpp"
#include "aarch64/loader.hpp"
#include "machine/host_clock.hpp"
#include "machine/platform.hpp"
#include "payload/boot_file.hpp"
#include "pl011/pl011.hpp"
#include "pl031/pl031.hpp"
#include "pl061/pl061.hpp"
#include "test_exit/test_exit.hpp"
#include "vmm/hv_arm.hpp"

namespace vmm::machine {

class Virt final : public Platform, private TestExitEvents {
public:
    /// Opens the payload's files. `config` outlives it.
    static Result<std::unique_ptr<Virt>> create(const VmConfig& config,
                                                std::unique_ptr<hv::arm::Hypervisor> hypervisor);

    std::vector<GpaRange> ram_ranges(std::uint64_t bytes) const override;
    Result<hv::Vm*> create_vm() override;
    Result<> create_interrupt_controller(Bus& mmio) override;
    Result<> add_devices(const PlatformParts& parts) override;
    std::span<Resettable* const> resettables() const override { return resettables_; }
    std::optional<SerialPort> serial() override;
    GuestHotplug* hotplug() override { return nullptr; }
    PciLines pci_lines() const override;
    /// Message interrupts need no port, and a doorbell costs the same wherever it is.
    std::uint64_t pci_port_window() const override { return 0; }
    Result<std::vector<hv::Vcpu*>> create_vcpus() override;
    pci::Windows pci_windows(const GuestRam& ram) const override;
    Result<> connect(pci::HostBridge& bridge, const PlatformParts& parts) override;
    Result<> load(GuestRam& ram) override;
    Result<> prepare_vcpu(unsigned index) override { return vcpus_[index]->prepare(); }
    Result<> reset() override;
    void press_power_button() override;

private:
    Virt(const VmConfig& config, std::unique_ptr<hv::arm::Hypervisor> hypervisor,
         aarch64::KernelFile kernel)
        : config_{config}, hypervisor_{std::move(hypervisor)}, kernel_{std::move(kernel)} {}

    aarch64::HighMap high_map() const;
    hv::arm::GicLayout gic_layout() const;
    Result<> add_serial(const PlatformParts& parts);
    Result<> add_clock_and_buttons(Bus& mmio);
    Result<> add_debug_exit(const PlatformParts& parts);
    Result<> check_page_size();
    std::vector<std::byte> device_tree(GpaRange initramfs, const std::string& command_line) const;

    void exit_requested(std::uint32_t value) noexcept override;

    const VmConfig& config_;
    std::unique_ptr<hv::arm::Hypervisor> hypervisor_;
    HostClock clock_;

    aarch64::KernelFile kernel_;
    std::vector<BootFile> initramfs_;
    std::unique_ptr<hv::arm::Vm> vm_;
    Events* events_ = nullptr;  // from add_devices() on
    std::unique_ptr<IrqLine> uart_irq_;
    std::optional<Pl011> uart_;
    std::optional<Pl031> rtc_;
    std::unique_ptr<IrqLine> gpio_irq_;
    std::optional<Pl061> gpio_;
    std::optional<TestExit> test_exit_;
    std::vector<Resettable*> resettables_;
    std::vector<std::unique_ptr<hv::arm::Vcpu>> vcpus_;
    std::vector<std::uint64_t> mpidrs_;
};

}  // namespace vmm::machine
