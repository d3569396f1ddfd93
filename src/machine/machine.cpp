// SPDX-License-Identifier: Apache-2.0
#include "machine/machine.hpp"

#include <poll.h>

#include <array>
#include <utility>

#include "machine/guest_races.hpp"
#include "machine/vcpu_affinity.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"

namespace vmm::machine {

Result<std::unique_ptr<Machine>> Machine::create(MachineParts parts) {
    std::unique_ptr<Machine> made{new Machine{std::move(parts)}};
    if (const auto& cpus = made->config_.cpus; !cpus.affinity.empty())
        made->host_cpus_ = VMM_TRY(host_cpus(cpus));
    VMM_TRY(made->map_ram());
    VMM_TRY(made->create_vm());
    VMM_TRY(made->add_platform_devices());
    VMM_TRY(made->add_pci_devices());
    VMM_TRY(made->create_vcpus());
    VMM_TRY(made->put_devices_on_bus());
    return made;
}

Machine::Machine(MachineParts parts)
    : config_{parts.config},
      loop_{parts.loop},
      events_{parts.events},
      commands_{parts.commands},
      hotplug_{parts.hotplug},
      consoles_{parts.config, parts.loop, *this, parts.tell},
      platform_{std::move(parts.platform)},
      vcpu_set_{ports_, mmio_, [this](unsigned index, const VcpuStop& stop) noexcept {
                    events_.report(index, stop);
                }} {}

Machine::~Machine() {
    stop();
    consoles_.detach();
    if (orders_.is_open())
        orders_.release();  // the descriptor is desk_'s
}

Result<> Machine::map_ram() {
    const auto& memory = config_.memory;
    const auto ranges = platform_->ram_ranges(memory.size);
    ram_ = VMM_TRY(GuestRam::create(ranges, {.shared = memory.is_shared(),
                                             .hugepages = memory.hugepages,
                                             .hugepage_size = memory.hugepage_size.value_or(0),
                                             .prefault = memory.prefault,
                                             .thp = memory.thp,
                                             .file = memory.file}));
    leave_races_to_guest(*ram_);
    return {};
}

Result<> Machine::create_vm() {
    vm_ = VMM_TRY(platform_->create_vm());
    if (const auto most = vm_->max_vcpus(); config_.cpus.boot_vcpus > most)
        return std::unexpected(Error{ErrorKind::Config, cat("cpus: ", config_.cpus.boot_vcpus,
                                                            " vCPUs were asked for, KVM on this "
                                                            "host allows ",
                                                            most)}
                                   .hint(cat("Use --num-cpu ", most, " or less.")));
    VMM_TRY(ram_->subscribe(*vm_));
    return platform_->create_interrupt_controller(mmio_);
}

PlatformParts Machine::platform_parts() {
    return {.ports = ports_,
            .mmio = mmio_,
            .events = events_,
            .serial = consoles_.serial(),
            .hotplug = hotplug_ ? this : nullptr};
}

Result<> Machine::add_platform_devices() {
    VMM_TRY(consoles_.open_serial());
    return platform_->add_devices(platform_parts());
}

// Half of the window, so that the guest can move the rest about.
std::uint64_t Machine::ports_for_kicks() const {
    return config_.virtio_notify == VirtioNotify::Auto ? platform_->pci_port_window() / 2 : 0;
}

Result<> Machine::add_pci_devices() {
    desk_ = VMM_TRY(ThreadDesk::open());
    orders_.assign(desk_->fd());
    await_orders();
    VMM_TRY(consoles_.open_virtio());
    pci_ = VMM_TRY(DeviceSet::create({.config = config_,
                                      .loop = loop_,
                                      .memory = *ram_,
                                      .layout = *ram_,
                                      .vm = *vm_,
                                      .mmio = mmio_,
                                      .io = ports_,
                                      .notify_ports = ports_for_kicks(),
                                      .lines = platform_->pci_lines(),
                                      .events = events_,
                                      .console = consoles_.console(),
                                      .console_ports = consoles_.ports(),
                                      .vcpus = vcpu_set_,
                                      .hotplug = platform_->hotplug()}));
    if (const auto size = consoles_.console_size())
        pci_->console()->set_size(0, size->columns, size->rows);
    return {};
}

// A driver's first write to a device asks for the device's thread.
void Machine::await_orders() {
    orders_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [this](boost::system::error_code failed) {
                           if (failed)
                               return;
                           desk_->serve();
                           await_orders();
                       });
}

Result<> Machine::create_vcpus() {
    vcpus_ = VMM_TRY(platform_->create_vcpus());
    return {};
}

Result<> Machine::put_devices_on_bus() {
    VMM_TRY(pci_->make_host_bridge(platform_->pci_windows(*ram_)));
    return platform_->connect(pci_->host_bridge(), platform_parts());
}

Result<> Machine::start() {
    events_.attach(vcpu_set_);
    VMM_TRY(vcpu_set_.make_first(
        vcpus_, [this](unsigned index) { return platform_->prepare_vcpu(index); }, host_cpus_));
    VMM_TRY(platform_->load(*ram_));
    ram_->advise_huge_pages();
    VMM_TRY(vcpu_set_.start());
    // While the guest starts. Its drivers get no I/O threads before the loop runs.
    pci_->prepare();
    ram_->keep_file();
    consoles_.attach({.serial = platform_->serial(),
                      .console = pci_->console(),
                      .ports = pci_->console_ports()});
    return {};
}

void Machine::begin_reset() {
    vcpu_set_.pause();
    events_.clear();
    for (auto* const part : platform_->resettables())
        part->reset();
    pci_->ask_reset();
}

std::vector<std::string> Machine::busy_devices() const {
    return pci_->busy();
}

int Machine::ended_fd() const noexcept {
    return pci_->released().fd();
}

void Machine::device_ended() {
    pci_->released().drain();
    pci_->step();
}

Result<> Machine::finish_reset() {
    pci_->finish_reset();
    // After the devices, whose threads still bring what the guest has said.
    consoles_.forget_panic();
    // Before RAM is cleared: until then the hypervisor may write to what a guest has shared with
    // it.
    VMM_TRY(platform_->reset());
    VMM_TRY(platform_->load(*ram_));
    vcpu_set_.resume();
    return {};
}

void Machine::pause() {
    vcpu_set_.pause();
    pci_->ask_pause();
}

std::vector<std::string> Machine::devices_not_quiet() const {
    return pci_->not_quiet();
}

void Machine::resume() {
    pci_->resume();
    vcpu_set_.resume();
}

void Machine::stop() {
    vcpu_set_.stop();
}

std::vector<std::string> Machine::stop_devices(std::chrono::milliseconds at_most) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + at_most;
    pci_->ask_end();
    for (;;) {
        device_ended();  // before the look: what ends after it is told
        auto busy = pci_->busy_at_end();
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
        if (busy.empty() || left.count() <= 0)
            return busy;
        // A request that needs a thread of its own may be what a device waits for.
        std::array<pollfd, 2> awaited{{{.fd = ended_fd(), .events = POLLIN, .revents = 0},
                                       {.fd = desk_->fd(), .events = POLLIN, .revents = 0}}};
        ::poll(awaited.data(), awaited.size(), static_cast<int>(left.count()));
        desk_->serve();
    }
}

Result<> Machine::add_device(NewDevice device) {
    return pci_->add(std::move(device));
}

std::optional<pci::Address> Machine::find_device(std::string_view id) const noexcept {
    return pci_->find(id);
}

void Machine::remove_device(std::string_view id, Removal how, Answer answer) {
    pci_->remove(id, how, std::move(answer));
}

void Machine::press_power_button() {
    platform_->press_power_button();
}

void Machine::look_at_disks(Answer answer) {
    pci_->look_at_disks(std::move(answer));
}

std::vector<std::string> Machine::drain(std::chrono::milliseconds at_most) {
    return consoles_.drain(at_most);
}

std::string Machine::last_panic() const {
    return consoles_.last_panic();
}

void Machine::quit_requested() noexcept {
    commands_.ask(Command::Quit);
}

void Machine::disk_sizes_requested() noexcept {
    commands_.ask(Command::RecheckDisks);
}

// On a vCPU thread.
void Machine::slot_ejected() noexcept {
    pci_->released().signal();
}

void Machine::terminal_resized(TerminalSize size) noexcept {
    consoles_.resized(size);
}

}  // namespace vmm::machine
