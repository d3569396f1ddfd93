// SPDX-License-Identifier: Apache-2.0
#include "machine/aarch64/virt.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "config/aarch64/in_use.hpp"
#include "config/command_line.hpp"
#include "config/limits.hpp"
#include "machine/host_entropy.hpp"
#include "payload/initramfs.hpp"
#include "vmm/log.hpp"
#include "vmm/size_text.hpp"
#include "vmm/text.hpp"

namespace vmm::machine {
namespace {

using namespace aarch64;  // the board is made of its numbers

// A configuration that is let through puts the test exit register where none of these are.
constexpr bool is_known_to_config(GpaRange range) {
    return std::ranges::any_of(config::aarch64::kInUse, [range](const config::InUse& used) {
        return GpaRange{Gpa{used.first}, used.count}.contains(range.first, range.size);
    });
}
static_assert(is_known_to_config(kDistributor) && is_known_to_config(kCpuInterface) &&
              is_known_to_config(kIts) && is_known_to_config(kRedistributors) &&
              is_known_to_config(kUart) && is_known_to_config(kRtc) && is_known_to_config(kGpio) &&
              is_known_to_config(kPciMemory32) && is_known_to_config(kEcam));
static_assert(config::kDebugExitSize == TestExit::kRegionSize);

bool can_translate(const hv::arm::Granules& granules, PageSize size) {
    switch (size) {
        case PageSize::KiB4:
            return granules.kib4;
        case PageSize::KiB16:
            return granules.kib16;
        case PageSize::KiB64:
            return granules.kib64;
        case PageSize::Unsaid:
            break;
    }
    return true;
}

CpuMap cpu_map(const CpusConfig& cpus) {
    if (!cpus.topology)
        return {.cores = cpus.boot_vcpus};
    return {.sockets = cpus.topology->packages,
            .clusters = cpus.topology->dies_per_package,
            .cores = cpus.topology->cores_per_die,
            .threads = cpus.topology->threads_per_core};
}

}  // namespace

Result<std::unique_ptr<Virt>> Virt::create(const VmConfig& config,
                                           std::unique_ptr<hv::arm::Hypervisor> hypervisor) {
    auto kernel = VMM_TRY(KernelFile::open(config.payload.kernel));
    log::info("kernel ", config.payload.kernel, ": ", kernel.describe());
    std::unique_ptr<Virt> board{new Virt{config, std::move(hypervisor), std::move(kernel)}};
    board->initramfs_ = VMM_TRY(open_initramfs(config.payload.initramfs));
    return board;
}

std::vector<GpaRange> Virt::ram_ranges(std::uint64_t bytes) const {
    return {ram_range(bytes)};
}

Result<hv::Vm*> Virt::create_vm() {
    vm_ = VMM_TRY(hypervisor_->create_vm());
    const std::uint64_t room = (std::uint64_t{1} << vm_->address_bits()) - kRam.value();
    if (config_.memory.size > room)
        return std::unexpected(Error{
            ErrorKind::Config,
            cat("memory: ", size_text(config_.memory.size), " and the board need more than ",
                vm_->address_bits(), " bits of address, which is what guests of this host have")}
                                   .hint(cat("Use --memory ", size_text(room), " or less.")));
    return vm_.get();
}

HighMap Virt::high_map() const {
    return aarch64::high_map(config_.memory.size, config_.cpus.boot_vcpus, vm_->address_bits());
}

hv::arm::GicLayout Virt::gic_layout() const {
    const std::uint64_t vcpus = config_.cpus.boot_vcpus;
    hv::arm::GicLayout layout{
        .distributor = kDistributor,
        .redistributors = {{kRedistributors.first,
                            std::min(vcpus * kRedistributor, kRedistributors.size)}},
        .its = kIts,
        .cpu_interface = kCpuInterface,
        .spis = kSpis};
    if (const auto more = high_map().redistributors; more.size != 0)
        layout.redistributors.push_back(more);
    return layout;
}

Result<> Virt::create_interrupt_controller(Bus& /*mmio*/) {
    vm_->place_gic(gic_layout());
    VMM_TRY(vm_->create_interrupt_controller());
    if (vm_->gic_version() == hv::arm::GicVersion::V2)
        log::info("this host has a GICv2: PCI devices signal on pins (INTx), not by messages");
    return {};
}

Result<> Virt::add_devices(const PlatformParts& parts) {
    events_ = &parts.events;
    VMM_TRY(add_serial(parts));
    VMM_TRY(add_clock_and_buttons(parts.mmio));
    return add_debug_exit(parts);
}

Result<> Virt::add_serial(const PlatformParts& parts) {
    if (!parts.serial)
        return {};
    uart_irq_ = VMM_TRY(vm_->irq_line(kUartSpi));
    uart_.emplace(*uart_irq_, *parts.serial);
    resettables_.push_back(&*uart_);
    return parts.mmio.map(kUart.first.value(), kUart.size, *uart_);
}

Result<> Virt::add_clock_and_buttons(Bus& mmio) {
    rtc_.emplace(clock_);
    resettables_.push_back(&*rtc_);
    VMM_TRY(mmio.map(kRtc.first.value(), kRtc.size, *rtc_));
    gpio_irq_ = VMM_TRY(vm_->irq_line(kGpioSpi));
    gpio_.emplace(*gpio_irq_);
    resettables_.push_back(&*gpio_);
    return mmio.map(kGpio.first.value(), kGpio.size, *gpio_);
}

Result<> Virt::add_debug_exit(const PlatformParts& parts) {
    if (!config_.debug_exit)
        return {};
    TestExitEvents& ours = *this;
    test_exit_.emplace(ours);
    VMM_TRY_OR(parts.mmio.map(*config_.debug_exit, TestExit::kRegionSize, *test_exit_),
               "debug_exit: put the test exit register there");
    return {};
}

std::optional<SerialPort> Virt::serial() {
    if (!uart_)
        return std::nullopt;
    return serial_port_of(*uart_);
}

PciLines Virt::pci_lines() const {
    PciLines lines{};
    for (std::uint32_t i = 0; i < lines.size(); ++i)
        lines[i] = hv::Gsi{kPciFirstSpi + i};
    return lines;
}

Result<std::vector<hv::Vcpu*>> Virt::create_vcpus() {
    std::vector<hv::Vcpu*> vcpus;
    for (std::uint32_t index = 0; index < config_.cpus.boot_vcpus; ++index) {
        vcpus_.push_back(VMM_TRY(vm_->create_vcpu(index)));
        mpidrs_.push_back(VMM_TRY(vcpus_.back()->mpidr()));
        vcpus.push_back(vcpus_.back().get());
    }
    VMM_TRY_OR(vm_->complete_gic(), "cannot set up the interrupt controller (GIC)");
    VMM_TRY(check_page_size());
    return vcpus;
}

Result<> Virt::check_page_size() {
    const PageSize size = kernel_.kernel().page_size();
    if (size == PageSize::Unsaid || can_translate(VMM_TRY(vcpus_[0]->granules()), size))
        return {};
    return std::unexpected(
        Error{ErrorKind::Config, cat("kernel ", config_.payload.kernel, " uses pages of ",
                                     name_of(size), ", which this host's CPUs do not have")}
            .hint("Give a kernel that was built for pages of another size."));
}

// Both what we assign from and what the tree tells the guest.
pci::Windows Virt::pci_windows(const GuestRam& /*ram*/) const {
    const auto memory64 = high_map().pci_memory64;
    return {.io = {},
            .memory32 = {kPciMemory32.first.value(), kPciMemory32.size},
            .memory64 = {memory64.first.value(), memory64.size}};
}

Result<> Virt::connect(pci::HostBridge& bridge, const PlatformParts& parts) {
    return parts.mmio.map(kEcam.first.value(), pci::kEcamSize, bridge.ecam());
}

std::vector<std::byte> Virt::device_tree(GpaRange initramfs,
                                         const std::string& command_line) const {
    std::array<std::byte, 64> seed{};
    HostEntropy entropy;
    entropy.fill(seed);
    return aarch64::device_tree({.mpidrs = mpidrs_,
                                 .cpu_map = cpu_map(config_.cpus),
                                 .ram = ram_range(config_.memory.size),
                                 .command_line = command_line,
                                 .initramfs = initramfs,
                                 .gic = gic_layout(),
                                 .gic_version = vm_->gic_version(),
                                 .pmu = vm_->has_pmu(),
                                 .uart = uart_.has_value(),
                                 .pci_memory64 = high_map().pci_memory64,
                                 .seed = seed});
}

// At each start and at each reset: the loader relies on zeros where it writes none.
Result<> Virt::load(GuestRam& ram) {
    VMM_TRY(ram.clear());
    if (kernel_.file().size() >= kLargePayload)
        ram.advise_huge_pages();
    const auto command_line = config::effective_cmdline(config_);
    const auto entry = VMM_TRY(
        aarch64::load(kernel_,
                      {.ram = ram_range(ram.size()),
                       .initramfs = initramfs_,
                       .make_tree = [&](GpaRange at) { return device_tree(at, command_line); }},
                      ram));
    log::info(entry.how);
    log::info("kernel command line: ", command_line);
    return vcpus_[0]->set_entry(entry.cpu);
}

Result<> Virt::reset() {
    for (const auto& vcpu : vcpus_)
        VMM_TRY(vcpu->reset());
    VMM_TRY_OR(vm_->reset(mpidrs_), "cannot reset the interrupt controller (GIC)");
    return {};
}

void Virt::press_power_button() {
    if (!gpio_)
        return;
    const std::lock_guard guard{gpio_->lock()};
    gpio_->press(kPowerLine);
}

void Virt::exit_requested(std::uint32_t value) noexcept {
    events_->raise_exit(static_cast<std::uint8_t>(value));
}

}  // namespace vmm::machine
