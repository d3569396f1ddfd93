#include "machine/x86_64/pc.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "config/command_line.hpp"
#include "config/limits.hpp"
#include "kvm/x86_64/create_vm.hpp"
#include "machine/guest_races.hpp"
#include "machine/host_entropy.hpp"
#include "machine/last_output.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"
#include "x86_64/layout.hpp"
#include "x86_64/reset_vector.hpp"

namespace vmm::machine {
namespace {

using namespace x86_64;  // the PC is made of its numbers

// A kernel file from this size on is worth huge pages under it; a bare-metal payload is not.
constexpr std::uint64_t kLargePayload = 4 * kMiB;

// A configuration that is let through puts the test exit port where none of these are.
constexpr bool is_known_to_config(PortRange range) {
    return std::ranges::any_of(config::kPortsInUse, [range](const config::PortsInUse& ports) {
        return ports.first == range.first && ports.count == range.count;
    });
}
static_assert(is_known_to_config(kPortCmos) && is_known_to_config(kPortCom1) &&
              is_known_to_config(kPortPciConfig) && is_known_to_config(kPortAcpi) &&
              is_known_to_config(kPortsPci));
static_assert(config::kDebugExitPorts == TestExit::kRegionSize);

CharMode to_char_mode(ConsoleMode mode) {
    switch (mode) {
        case ConsoleMode::Tty:
            return CharMode::Tty;
        case ConsoleMode::Pty:
            return CharMode::Pty;
        case ConsoleMode::File:
            return CharMode::File;
        case ConsoleMode::Socket:
            return CharMode::Socket;
        case ConsoleMode::Null:
        case ConsoleMode::Off:
            break;
    }
    return CharMode::Null;
}

template <class Channel>
const std::string& path_of(const Channel& config) {
    if (config.mode == ConsoleMode::Pty)
        return config.link;
    return config.mode == ConsoleMode::Socket ? config.socket : config.file;
}

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

// Both what we assign from and what the tables tell the guest.
pci::Windows pci_windows(const GuestRam& ram, unsigned address_bits) {
    const auto memory64 = pci_window64(ram.size(), address_bits);
    return {.io = {kPortsPci.first, kPortsPci.count},
            .memory32 = {kPciWindow32.first.value(), kPciWindow32.size},
            .memory64 = {memory64.first.value(), memory64.size}};
}

PciLines pci_lines() {
    PciLines lines{};
    for (std::uint32_t i = 0; i < lines.size(); ++i)
        lines[i] = hv::Gsi{kGsiPciFirst + i};
    return lines;
}

/// Each pin of each slot, for _PRT.
std::array<PciHost::Intx, std::size_t{pci::kSlots} * pci::kPins> pci_wires() {
    const auto lines = pci_lines();
    std::array<PciHost::Intx, std::size_t{pci::kSlots} * pci::kPins> wires{};
    for (unsigned slot = 0; slot < pci::kSlots; ++slot)
        for (unsigned pin = 0; pin < pci::kPins; ++pin)
            wires[slot * pci::kPins + pin] = {.device = static_cast<std::uint8_t>(slot),
                                              .pin = static_cast<std::uint8_t>(pin),
                                              .gsi = lines[pci::line_of(slot, pin + 1)]};
    return wires;
}

}  // namespace

Result<std::unique_ptr<Board>> make_board(const BoardParts& parts) {
    return VMM_TRY(Pc::create(parts));
}

Result<std::unique_ptr<Pc>> Pc::create(const BoardParts& parts) {
    auto kernel = VMM_TRY(KernelFile::open(parts.config.payload.kernel));
    std::unique_ptr<Pc> pc{new Pc{parts, std::move(kernel)}};
    VMM_TRY(pc->open_initramfs());
    VMM_TRY(pc->map_ram());
    VMM_TRY(pc->create_vm());
    VMM_TRY(pc->add_serial());
    VMM_TRY(pc->add_platform_devices());
    VMM_TRY(pc->add_pci_devices());
    VMM_TRY(pc->create_vcpus());
    VMM_TRY(pc->put_devices_on_bus());
    return pc;
}

Pc::Pc(const BoardParts& parts, KernelFile kernel)
    : config_{parts.config},
      loop_{parts.loop},
      events_{parts.events},
      tell_{parts.tell},
      kernel_{std::move(kernel)},
      vcpu_set_{ports_, mmio_, [this](unsigned index, const VcpuStop& stop) noexcept {
                    events_.report(index, stop);
                }} {}

Pc::~Pc() {
    stop();
    for (const HostSide* const side : host_sides())
        if (side->backend)
            side->backend->detach();
}

std::vector<const Pc::HostSide*> Pc::host_sides() const {
    std::vector<const HostSide*> sides{&com1_, &hvc0_};
    for (const HostSide& port : console_ports_)
        sides.push_back(&port);
    return sides;
}

Result<> Pc::open_initramfs() {
    log::info("kernel ", config_.payload.kernel, ": ", kernel_.describe());
    for (const auto& path : config_.payload.initramfs)
        initramfs_.push_back(VMM_TRY(BootFile::open(path, "initramfs")));
    return {};
}

Result<> Pc::map_ram() {
    const auto& memory = config_.memory;
    const auto ranges = ram_ranges(memory.size);
    ram_ =
        VMM_TRY(GuestRam::create(ranges.all(), {.shared = memory.is_shared(),
                                                .hugepages = memory.hugepages,
                                                .hugepage_size = memory.hugepage_size.value_or(0),
                                                .prefault = memory.prefault,
                                                .thp = memory.thp,
                                                .file = memory.file}));
    leave_races_to_guest(*ram_);
    return {};
}

Result<> Pc::create_vm() {
    vm_ = VMM_TRY(kvm::create_vm());
    if (const auto most = vm_->max_vcpus(); config_.cpus.boot_vcpus > most)
        return std::unexpected(Error{ErrorKind::Config, cat("cpus: ", config_.cpus.boot_vcpus,
                                                            " vCPUs were asked for, KVM on this "
                                                            "host allows ",
                                                            most)}
                                   .hint(cat("use --num-cpu ", most, " or less")));
    VMM_TRY(name_local_apics());
    VMM_TRY(ram_->subscribe(*vm_));
    VMM_TRY(vm_->create_interrupt_controller());
    if (IoDevice* const io_apic = vm_->io_apic())
        return mmio_.map(kIoApic.first.value(), kIoApic.size, *io_apic);
    return {};
}

template <class Channel>
Result<> Pc::open_host_side(HostSide& side, const Channel& config, const std::string& name) {
    if (config.mode == ConsoleMode::Off)
        return {};
    const CharBackendConfig backend{
        .mode = to_char_mode(config.mode), .path = path_of(config), .name = name};
    side.backend = VMM_TRY(make_char_backend(loop_, backend, *this));
    if (config.mode == ConsoleMode::Pty) {
        const auto where = cat("the ", name, " is ", side.backend->place(),
                               config.link.empty() ? "" : cat(", linked from ", config.link));
        tell_(where);
        log::info(where);
    }
    return {};
}

Result<> Pc::add_serial() {
    VMM_TRY(open_host_side(com1_, config_.serial, "serial port"));
    if (!com1_.backend)
        return {};
    com1_.watch = std::make_unique<ConsoleWatch>(*com1_.backend);
    com1_.irq = VMM_TRY(vm_->irq_line(kGsiCom1));
    com1_.device.emplace(*com1_.irq, *com1_.watch);
    resettables_.push_back(&*com1_.device);
    return ports_.map(kPortCom1.first, kPortCom1.count, *com1_.device);
}

Result<> Pc::add_platform_devices() {
    rtc_.emplace(clock_);
    resettables_.push_back(&*rtc_);
    VMM_TRY(ports_.map(kPortCmos.first, kPortCmos.count, *rtc_));

    power_irq_ = VMM_TRY(vm_->irq_line(kGsiGed));
    power_.emplace(events_, *power_irq_);
    resettables_.push_back(&*power_);
    VMM_TRY(ports_.map(kPortAcpi.first, kPortAcpi.count, *power_));

    if (config_.debug_exit) {
        TestExitEvents& ours = *this;
        test_exit_.emplace(ours);
        VMM_TRY_OR(ports_.map(*config_.debug_exit, TestExit::kRegionSize, *test_exit_),
                   "debug_exit: put the test exit port there");
    }
    return {};
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

Result<> Pc::create_vcpus() {
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
    return vcpus_[0]->set_cpuid(cpuid.for_vcpu(0));
}

Result<> Pc::add_pci_devices() {
    if (!PciDevices::wanted(config_))
        return {};
    VMM_TRY(open_host_side(hvc0_, config_.console, "console"));
    if (hvc0_.backend)
        hvc0_.watch = std::make_unique<ConsoleWatch>(*hvc0_.backend);
    VMM_TRY(open_console_ports());
    std::vector<ByteSink*> ports;
    ports.reserve(console_ports_.size());
    for (const HostSide& port : console_ports_)
        ports.push_back(port.backend.get());
    pci_ = VMM_TRY(PciDevices::create({.config = config_,
                                       .memory = *ram_,
                                       .vm = *vm_,
                                       .mmio = mmio_,
                                       .io = ports_,
                                       .port_window = kPortsPci.count,
                                       .lines = pci_lines(),
                                       .events = events_,
                                       .console = hvc0_.watch.get(),
                                       .console_ports = std::move(ports)}));
    if (hvc0_.backend)
        if (const auto size = hvc0_.backend->terminal_size())
            pci_->console()->set_size(0, size->columns, size->rows);
    resettables_.push_back(&*pci_);
    return {};
}

Result<> Pc::put_devices_on_bus() {
    if (!pci_)
        return {};
    VMM_TRY(pci_->make_bus(pci_windows(*ram_, address_bits_)));
    VMM_TRY(ports_.map(pci::kCamPort, pci::kCamSize, pci_->bus().cam()));
    return mmio_.map(kEcam.first.value(), pci::kEcamSize, pci_->bus().ecam());
}

Result<> Pc::open_console_ports() {
    for (const auto& port : config_.console_ports)
        VMM_TRY(open_host_side(console_ports_.emplace_back(), port, cat("port ", port.name)));
    return {};
}

// In the vCPU's own thread, so that the last one does not hold up the first.
Result<> Pc::prepare_vcpu(unsigned index) {
    if (index == 0 || !cpuid_)
        return {};
    return vcpus_[index]->set_cpuid(cpuid_->for_vcpu(index));
}

Tables Pc::tables() const {
    TablesConfig config{.apic_ids = apic_ids_,
                        .com1 = com1_.device.has_value(),
                        .clock = CmosClock{.century_index = Rtc::kCentury}};
    if (!pci_)
        return build_tables(config, kAcpiTables.first);
    using enum PciHost::Window::Kind;
    const auto windows = pci_windows(*ram_, address_bits_);
    const std::array told{
        PciHost::Window{Io, windows.io.base, windows.io.size},
        PciHost::Window{Memory, windows.memory32.base, windows.memory32.size},
        PciHost::Window{Memory, windows.memory64.base, windows.memory64.size},
    };
    const auto wires = pci_wires();
    config.pci = PciHost{.ecam = kEcam.first, .windows = told, .intx = wires};
    return build_tables(config, kAcpiTables.first);
}

// ACPI tables, and what stands where firmware would start.
Result<> Pc::write_firmware() {
    const auto tables = this->tables();
    if (tables.bytes.size() > kAcpiTables.size - kResetVector.size ||
        !ram_->copy_out(kAcpiTables.first, tables.bytes) ||
        !ram_->copy_out(kResetVector.first, kResetVectorCode))
        return std::unexpected(
            Error{ErrorKind::Config, cat("memory: the ACPI tables take ", tables.bytes.size(),
                                         " bytes at ", kAcpiTables.first, ", which is no RAM")}
                .hint("give the guest more with --memory SIZE, or fewer CPUs"));
    return {};
}

// At each start and at each reset: the loader relies on zeros where it writes none.
Result<> Pc::load() {
    VMM_TRY(ram_->clear());
    if (kernel_.file().size() >= kLargePayload)
        ram_->advise_huge_pages();
    VMM_TRY(write_firmware());
    HostEntropy entropy;
    const auto command_line = config::effective_cmdline(config_);
    const auto entry = VMM_TRY(x86_64::load(kernel_,
                                            {.ram_size = ram_->size(),
                                             .initramfs = initramfs_,
                                             .command_line = command_line,
                                             .unpack = to_unpack(config_.payload.unpack),
                                             .rsdp = kRsdp,
                                             .reserved = {},
                                             .kaslr = config_.payload.kaslr,
                                             .entropy = &entropy},
                                            *ram_));
    log::info(entry.how);
    log::info("kernel command line: ", entry.command_line);
    VMM_TRY(vcpus_[0]->set_system_registers(entry.system));
    return vcpus_[0]->set_registers(entry.registers);
}

Result<> Pc::start() {
    VMM_TRY(load());
    ram_->advise_huge_pages();
    events_.attach(vcpu_set_);
    std::vector<hv::Vcpu*> vcpus;
    vcpus.reserve(vcpus_.size());
    for (const auto& vcpu : vcpus_)
        vcpus.push_back(vcpu.get());
    VMM_TRY(vcpu_set_.start(vcpus, [this](unsigned index) { return prepare_vcpu(index); }));
    ram_->keep_file();
    if (com1_.device)
        com1_.backend->attach(*com1_.device, com1_.device->lock());
    if (hvc0_.backend)
        hvc0_.backend->attach(pci_->console()->port(0), pci_->console()->lock());
    for (std::size_t i = 0; i < console_ports_.size(); ++i)
        console_ports_[i].backend->attach(pci_->console_ports()->port(i),
                                          pci_->console_ports()->lock());
    return {};
}

Result<> Pc::reset() {
    vcpu_set_.pause();
    events_.clear();
    for (auto* const part : resettables_)
        part->reset();
    // Behind the devices, whose threads still bring what the guest has said.
    for (const HostSide* const side : host_sides())
        if (side->watch)
            side->watch->forget();
    // Before RAM is cleared: until then KVM may write to what a guest has shared with it.
    VMM_TRY(vm_->reset());
    for (const auto& vcpu : vcpus_)
        VMM_TRY(vcpu->reset());
    VMM_TRY(load());
    vcpu_set_.resume();
    return {};
}

void Pc::pause() {
    vcpu_set_.pause();
}

void Pc::stop() {
    vcpu_set_.stop();
}

void Pc::press_power_button() {
    if (!power_)
        return;
    const std::lock_guard guard{power_->lock()};
    power_->press_power_button();
}

void Pc::look_at_disks() {
    if (pci_)
        pci_->look_at_disks();
}

std::vector<std::string> Pc::drain(std::chrono::milliseconds at_most) {
    std::vector<LastOutput> sides;
    const auto add = [&](const HostSide& side, std::string name, virtio_console::Console* device,
                         std::size_t port) {
        if (side.backend)
            sides.push_back({*side.backend, std::move(name),
                             [=] { return device->has_output(port); },
                             [=] { return device->drop_output(port); }});
    };
    if (com1_.device)
        sides.push_back({*com1_.backend, "serial port",
                         [this] { return com1_.device->has_output(); },
                         [this] { return com1_.device->drop_output(); }});
    if (pci_)
        add(hvc0_, "console", pci_->console(), 0);
    for (std::size_t i = 0; i < console_ports_.size(); ++i)
        add(console_ports_[i], cat("port ", config_.console_ports[i].name), pci_->console_ports(),
            i);
    let_out(sides, at_most);
    return drop_rest(sides);
}

std::string Pc::last_panic() const {
    std::string said;
    for (const HostSide* const side : host_sides())
        if (said.empty() && side->watch)
            said = side->watch->last_panic();
    return said;
}

void Pc::quit_requested() noexcept {
    events_.raise(Event::Quit);
}

// Of the one terminal, which the serial port and other ports have no use for.
void Pc::terminal_resized(TerminalSize size) noexcept {
    if (hvc0_.backend && config_.console.mode == ConsoleMode::Tty)
        pci_->console()->set_size(0, size.columns, size.rows);
}

void Pc::exit_requested(std::uint32_t value) noexcept {
    events_.raise_exit(static_cast<std::uint8_t>(value));
}

}  // namespace vmm::machine
