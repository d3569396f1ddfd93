// SPDX-License-Identifier: Apache-2.0
#include "machine/x86_64/pc.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "config/command_line.hpp"
#include "config/limits.hpp"
#include "config/x86_64/in_use.hpp"
#include "machine/host_entropy.hpp"
#include "payload/initramfs.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"
#include "x86_64/layout.hpp"
#include "x86_64/reset_vector.hpp"

namespace vmm::machine {
namespace {

using namespace x86_64;  // the PC is made of its numbers

// A configuration that is let through puts the test exit port where none of these are.
constexpr bool is_known_to_config(PortRange range) {
    return std::ranges::any_of(config::x86_64::kInUse, [range](const config::InUse& ports) {
        return ports.first == range.first && ports.count == range.count;
    });
}
static_assert(is_known_to_config(kPortCmos) && is_known_to_config(kPortCom1) &&
              is_known_to_config(kPortPciConfig) && is_known_to_config(kPortAcpi) &&
              is_known_to_config(kPortsPci));
static_assert(config::kDebugExitSize == TestExit::kRegionSize);
static_assert(kPortPciHotplug.count == PciHotplug::kRegionSize);

PayloadUnpack to_unpack(AutoSwitch value) {
    switch (value) {
        case AutoSwitch::On:
            return PayloadUnpack::On;
        case AutoSwitch::Off:
            return PayloadUnpack::Off;
        case AutoSwitch::Auto:
            break;
    }
    return PayloadUnpack::Auto;
}

PciLines lines_of_pci() {
    PciLines lines{};
    for (std::uint32_t i = 0; i < lines.size(); ++i)
        lines[i] = hv::Gsi{kGsiPciFirst + i};
    return lines;
}

/// Each pin of each slot, for _PRT.
std::array<PciHost::Intx, std::size_t{pci::kSlots} * pci::kPins> pci_wires() {
    const auto lines = lines_of_pci();
    std::array<PciHost::Intx, std::size_t{pci::kSlots} * pci::kPins> wires{};
    for (unsigned slot = 0; slot < pci::kSlots; ++slot)
        for (unsigned pin = 0; pin < pci::kPins; ++pin)
            wires[slot * pci::kPins + pin] = {.device = static_cast<std::uint8_t>(slot),
                                              .pin = static_cast<std::uint8_t>(pin),
                                              .gsi = lines[pci::line_of(slot, pin + 1)]};
    return wires;
}

}  // namespace

Result<std::unique_ptr<Pc>> Pc::create(const VmConfig& config,
                                       std::unique_ptr<hv::x86::Hypervisor> hypervisor) {
    auto kernel = VMM_TRY(KernelFile::open(config.payload.kernel));
    log::info("kernel ", config.payload.kernel, ": ", kernel.describe());
    std::unique_ptr<Pc> pc{new Pc{config, std::move(hypervisor), std::move(kernel)}};
    pc->initramfs_ = VMM_TRY(open_initramfs(config.payload.initramfs));
    return pc;
}

std::vector<GpaRange> Pc::ram_ranges(std::uint64_t bytes) const {
    const auto ranges = x86_64::ram_ranges(bytes);
    return {ranges.all().begin(), ranges.all().end()};
}

Result<hv::Vm*> Pc::create_vm() {
    vm_ = VMM_TRY(hypervisor_->create_vm());
    return vm_.get();
}

Result<> Pc::create_interrupt_controller(Bus& mmio) {
    VMM_TRY(name_local_apics());
    VMM_TRY(vm_->create_interrupt_controller());
    if (IoDevice* const io_apic = vm_->io_apic())
        return mmio.map(kIoApic.first.value(), kIoApic.size, *io_apic);
    return {};
}

Result<> Pc::add_devices(const PlatformParts& parts) {
    events_ = &parts.events;
    if (parts.serial) {
        com1_irq_ = VMM_TRY(vm_->irq_line(kGsiCom1));
        com1_.emplace(*com1_irq_, *parts.serial);
        resettables_.push_back(&*com1_);
        VMM_TRY(parts.ports.map(kPortCom1.first, kPortCom1.count, *com1_));
    }
    rtc_.emplace(clock_);
    resettables_.push_back(&*rtc_);
    VMM_TRY(parts.ports.map(kPortCmos.first, kPortCmos.count, *rtc_));

    power_irq_ = VMM_TRY(vm_->irq_line(kGsiGed));
    power_.emplace(parts.events, *power_irq_);
    resettables_.push_back(&*power_);
    VMM_TRY(parts.ports.map(kPortAcpi.first, kPortAcpi.count, *power_));

    if (parts.hotplug != nullptr)
        VMM_TRY(add_hotplug_controller(*parts.hotplug, parts.ports));

    if (config_.debug_exit) {
        TestExitEvents& ours = *this;
        test_exit_.emplace(ours);
        VMM_TRY_OR(parts.ports.map(*config_.debug_exit, TestExit::kRegionSize, *test_exit_),
                   "debug_exit: put the test exit port there");
    }
    return {};
}

// It shares the pin of the power device, and with it the method that handles its events.
Result<> Pc::add_hotplug_controller(PciHotplugEvents& events, Bus& ports) {
    auto irq = VMM_TRY(vm_->irq_line(kGsiGed));
    hotplug_ = std::make_unique<HotplugController>(events, std::move(irq));
    auto& registers = hotplug_->registers();
    resettables_.push_back(&registers);
    return ports.map(kPortPciHotplug.first, kPortPciHotplug.count, registers);
}

std::optional<SerialPort> Pc::serial() {
    if (!com1_)
        return std::nullopt;
    return serial_port_of(*com1_);
}

GuestHotplug* Pc::hotplug() {
    return hotplug_.get();
}

PciLines Pc::pci_lines() const {
    return lines_of_pci();
}

Topology Pc::topology() const {
    const auto& asked = config_.cpus.topology;
    if (!asked)
        return Topology::flat(static_cast<std::uint16_t>(config_.cpus.boot_vcpus));
    return {.packages = static_cast<std::uint16_t>(asked->packages),
            .dies = static_cast<std::uint16_t>(asked->dies_per_package),
            .cores = static_cast<std::uint16_t>(asked->cores_per_die),
            .threads = static_cast<std::uint16_t>(asked->threads_per_core)};
}

Result<> Pc::name_local_apics() {
    const auto layout = topology();
    VMM_TRY(check(layout, config_.cpus.boot_vcpus));
    for (std::uint32_t index = 0; index < config_.cpus.boot_vcpus; ++index)
        apic_ids_.push_back(layout.apic_id(index));
    if (apic_ids_.back() <= hv::x86::kHighestNarrowApicId)
        return {};
    return vm_->use_wide_apic_ids(apic_ids_.back());
}

Result<std::vector<hv::Vcpu*>> Pc::create_vcpus() {
    vcpus_.reserve(apic_ids_.size());
    for (const std::uint32_t apic_id : apic_ids_)
        vcpus_.push_back(VMM_TRY(vm_->create_vcpu(apic_id)));
    // As late as can be: KVM takes its time for the answer.
    const auto supported = VMM_TRY(vm_->supported_cpuid());
    const auto& cpuid =
        cpuid_.emplace(supported, topology(),
                       CpuidOptions{.tsc_deadline = vm_->has_tsc_deadline(),
                                    .extended_msi_destination = vm_->io_apic() != nullptr});
    address_bits_ = cpuid.address_bits();
    // KVM checks the registers that load() sets against what CPUID says there is.
    VMM_TRY(vcpus_[0]->set_cpuid(cpuid.for_vcpu(0)));
    std::vector<hv::Vcpu*> vcpus;
    vcpus.reserve(vcpus_.size());
    for (const auto& vcpu : vcpus_)
        vcpus.push_back(vcpu.get());
    return vcpus;
}

// Both what we assign from and what the tables tell the guest.
pci::Windows Pc::pci_windows(const GuestRam& ram) const {
    const auto memory64 = pci_window64(ram.size(), address_bits_);
    return {.io = {kPortsPci.first, kPortsPci.count},
            .memory32 = {kPciWindow32.first.value(), kPciWindow32.size},
            .memory64 = {memory64.first.value(), memory64.size}};
}

std::uint64_t Pc::pci_port_window() const {
    return kPortsPci.count;
}

Result<> Pc::connect(pci::HostBridge& bridge, const PlatformParts& parts) {
    has_pci_devices_ = bridge.has_devices();
    VMM_TRY(parts.ports.map(pci::kCamPort, pci::kCamSize, bridge.cam()));
    return parts.mmio.map(kEcam.first.value(), pci::kEcamSize, bridge.ecam());
}

Result<> Pc::prepare_vcpu(unsigned index) {
    if (index == 0 || !cpuid_)
        return {};
    return vcpus_[index]->set_cpuid(cpuid_->for_vcpu(index));
}

Tables Pc::tables(const GuestRam& ram) const {
    TablesConfig config{.apic_ids = apic_ids_,
                        .com1 = com1_.has_value(),
                        .clock = CmosClock{.century_index = Rtc::kCentury}};
    using enum PciHost::Window::Kind;
    const auto windows = pci_windows(ram);
    const std::array told{
        PciHost::Window{Io, windows.io.base, windows.io.size},
        PciHost::Window{Memory, windows.memory32.base, windows.memory32.size},
        PciHost::Window{Memory, windows.memory64.base, windows.memory64.size},
    };
    config.pci = PciHost{.windows = told};
    // What a guest need not read where there is nothing but the bridge: it costs Linux 5 million
    // instructions.
    const auto wires = pci_wires();
    if (has_pci_devices_ || hotplug_) {
        config.pci->ecam = kEcam.first;
        config.pci->intx = wires;
    }
    if (hotplug_)
        config.pci->hotplug = acpi::PciHotplugRegisters{.address = kPortPciHotplug.first};
    return build_tables(config, kAcpiTables.first);
}

// ACPI tables, and what stands where firmware would start.
Result<> Pc::write_firmware(GuestRam& ram) {
    const auto tables = this->tables(ram);
    if (tables.bytes.size() > kAcpiTables.size - kResetVector.size ||
        !ram.copy_out(kAcpiTables.first, tables.bytes) ||
        !ram.copy_out(kResetVector.first, kResetVectorCode))
        return std::unexpected(
            Error{ErrorKind::Config, cat("memory: the ACPI tables take ", tables.bytes.size(),
                                         " bytes at ", kAcpiTables.first, ", which is not RAM")}
                .hint("Give the guest more with --memory SIZE, or fewer CPUs."));
    return {};
}

// At each start and at each reset: the loader relies on zeros where it writes none.
Result<> Pc::load(GuestRam& ram) {
    VMM_TRY(ram.clear());
    if (kernel_.file().size() >= kLargePayload)
        ram.advise_huge_pages();
    VMM_TRY(write_firmware(ram));
    HostEntropy entropy;
    const auto command_line = config::effective_cmdline(config_);
    const auto entry = VMM_TRY(x86_64::load(kernel_,
                                            {.ram_size = ram.size(),
                                             .initramfs = initramfs_,
                                             .command_line = command_line,
                                             .unpack = to_unpack(config_.payload.unpack),
                                             .rsdp = kRsdp,
                                             .reserved = {},
                                             .kaslr = config_.payload.kaslr,
                                             .entropy = &entropy},
                                            ram));
    log::info(entry.how);
    log::info("kernel command line: ", entry.command_line);
    VMM_TRY(vcpus_[0]->set_system_registers(entry.system));
    return vcpus_[0]->set_registers(entry.registers);
}

Result<> Pc::reset() {
    VMM_TRY(vm_->reset());
    for (const auto& vcpu : vcpus_)
        VMM_TRY(vcpu->reset());
    return {};
}

void Pc::press_power_button() {
    if (!power_)
        return;
    const std::lock_guard guard{power_->lock()};
    power_->press_power_button();
}

void Pc::exit_requested(std::uint32_t value) noexcept {
    events_->raise_exit(static_cast<std::uint8_t>(value));
}

}  // namespace vmm::machine
