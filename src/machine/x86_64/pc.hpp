// SPDX-License-Identifier: Apache-2.0
// The PC: interrupt chips, a serial port, a CMOS clock, ACPI, and vCPUs that run a kernel.
//
// What lies where is arch/x86_64's layout.hpp; this puts the parts there and joins them.
// Members stand in the order in which they come up. Threads: as platform.hpp.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "acpi_power/acpi_power.hpp"
#include "machine/devices/hotplug_controller.hpp"
#include "machine/host_clock.hpp"
#include "machine/platform.hpp"
#include "payload/boot_file.hpp"
#include "rtc/rtc.hpp"
#include "serial/serial.hpp"
#include "test_exit/test_exit.hpp"
#include "vmm/hv_x86.hpp"
#include "x86_64/acpi/tables.hpp"
#include "x86_64/cpuid.hpp"
#include "x86_64/kernel_file.hpp"
#include "x86_64/loader.hpp"

namespace vmm::machine {

class Pc final : public Platform, private TestExitEvents {
public:
    /// Opens the payload's files. `config` outlives it.
    static Result<std::unique_ptr<Pc>> create(const VmConfig& config,
                                              std::unique_ptr<hv::x86::Hypervisor> hypervisor);

    std::vector<GpaRange> ram_ranges(std::uint64_t bytes) const override;
    Result<hv::Vm*> create_vm() override;
    Result<> create_interrupt_controller(Bus& mmio) override;
    Result<> add_devices(const PlatformParts& parts) override;
    std::span<Resettable* const> resettables() const override { return resettables_; }
    std::optional<SerialPort> serial() override;
    GuestHotplug* hotplug() override;
    PciLines pci_lines() const override;
    std::uint64_t pci_port_window() const override;
    Result<std::vector<hv::Vcpu*>> create_vcpus() override;
    pci::Windows pci_windows(const GuestRam& ram) const override;
    Result<> connect(pci::HostBridge& bridge, const PlatformParts& parts) override;
    Result<> load(GuestRam& ram) override;
    Result<> prepare_vcpu(unsigned index) override;
    Result<> reset() override;
    void press_power_button() override;

private:
    Pc(const VmConfig& config, std::unique_ptr<hv::x86::Hypervisor> hypervisor,
       x86_64::KernelFile kernel)
        : config_{config}, hypervisor_{std::move(hypervisor)}, kernel_{std::move(kernel)} {}

    Result<> add_hotplug_controller(PciHotplugEvents& events, Bus& ports);
    x86_64::Topology topology() const;
    Result<> name_local_apics();
    Result<> write_firmware(GuestRam& ram);
    x86_64::Tables tables(const GuestRam& ram) const;

    void exit_requested(std::uint32_t value) noexcept override;

    const VmConfig& config_;
    std::unique_ptr<hv::x86::Hypervisor> hypervisor_;
    HostClock clock_;

    x86_64::KernelFile kernel_;
    std::vector<BootFile> initramfs_;
    std::unique_ptr<hv::x86::Vm> vm_;
    Events* events_ = nullptr;  // from add_devices() on
    std::unique_ptr<IrqLine> com1_irq_;
    std::optional<Serial> com1_;
    std::unique_ptr<IrqLine> power_irq_;
    std::optional<AcpiPower> power_;
    std::unique_ptr<HotplugController> hotplug_;  // null: there is none
    std::optional<Rtc> rtc_;
    std::optional<TestExit> test_exit_;
    std::vector<Resettable*> resettables_;
    std::optional<x86_64::CpuidTemplate> cpuid_;
    unsigned address_bits_ = 0;            // of guest physical addresses
    std::vector<std::uint32_t> apic_ids_;  // ascending
    std::vector<std::unique_ptr<hv::x86::Vcpu>> vcpus_;
    bool has_pci_devices_ = false;  // when the machine started
};

}  // namespace vmm::machine
