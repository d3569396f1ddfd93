// SPDX-License-Identifier: Apache-2.0
#include "machine/pci_devices.hpp"

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

#include "backends/block/block_file.hpp"
#include "backends/entropy/entropy_file.hpp"
#include "backends/net/passt.hpp"
#include "backends/net/tap.hpp"
#include "config/device_name.hpp"
#include "config/limits.hpp"
#include "config/publish.hpp"
#include "virtio_net/mac.hpp"
#include "virtio_net/net.hpp"
#include "virtio_rng/rng.hpp"
#include "vmm/error_record.hpp"
#include "vmm/log.hpp"
#include "vmm/net_backend.hpp"
#include "vmm/text.hpp"

namespace vmm::machine {
namespace {

// QEMU's pci-ids.rst: the pvpanic device. Class: base system peripheral, other.
constexpr pci::Identity kPvPanic{.vendor = 0x1b36,
                                 .device = 0x0011,
                                 .subsystem_vendor = 0x1af4,
                                 .subsystem = 0x1100,
                                 .class_code = 0x08'8000,
                                 .revision = 1};
constexpr std::uint64_t kSmallestBar = 16;  // bytes

// A configuration that is let through must not fail here.
static_assert(config::kMaxPciDevices == (pci::kSlots - std::size_t{1}) * pci::kFunctions);
static_assert(config::kMaxDiskRequests <= virtio_blk::kMaxOutstanding);
static_assert(config::kMaxDiskQueues <= virtio_blk::kMaxQueues);
static_assert(config::kMaxQueueSize <= virtio::Queue::kMaxSize);

Result<PasstOptions> passt_options(const NetConfig& net) {
    PasstOptions options;
    options.mtu = net.mtu.value_or(options.mtu);
    for (const auto& text : net.publish) {
        auto rule = VMM_TRY_OR(config::parse_publish(text), "publish");
        options.publish.push_back({.address = std::move(rule.address),
                                   .host_first = rule.host_first,
                                   .host_last = rule.host_last,
                                   .guest_first = rule.guest_first,
                                   .tcp = rule.tcp,
                                   .udp = rule.udp});
    }
    return options;
}

Result<std::unique_ptr<NetBackend>> open_net(const NetConfig& net) {
    if (net.backend == NetBackendKind::User)
        return start_passt(VMM_TRY(passt_options(net)));
    if (!net.fds.empty())
        return adopt_tap(net.fds);
    return open_tap({.name = net.tap, .queues = net.num_queues / 2, .mtu = net.mtu});
}

/// The one that was given; or one that is the same at each start of a machine with a name; or one
/// by chance, so that two machines without names can meet on one network.
MacAddress mac_of(const VmConfig& config, const NetConfig& net, std::string_view name) {
    if (const auto given = virtio_net::parse_mac(net.mac))
        return *given;
    if (!config.name.empty())
        return virtio_net::generated_mac(config.name, name);
    std::array<std::byte, 16> chance{};
    HostEntropy{}.fill(chance);
    const auto text = std::bit_cast<std::array<char, 16>>(chance);
    return virtio_net::generated_mac({text.data(), text.size()}, name);
}

}  // namespace

bool PciDevices::wanted(const VmConfig& config) {
    return !config.disks.empty() || !config.net.empty() || config.rng || config.pvpanic ||
           config.console.mode != ConsoleMode::Off || !config.console_ports.empty();
}

Result<std::unique_ptr<PciDevices>> PciDevices::create(const PciParts& parts) {
    auto released = VMM_TRY(EventFd::create());
    std::unique_ptr<PciDevices> made{new PciDevices{parts, std::move(released)}};
    VMM_TRY(made->add_console());
    VMM_TRY(made->add_console_ports());
    VMM_TRY(made->add_disks());
    VMM_TRY(made->add_nets());
    VMM_TRY(made->add_rng());
    VMM_TRY(made->add_pvpanic());
    return made;
}

Result<> PciDevices::make_host_bridge(const pci::Windows& windows) {
    pci::HostBridgeParts parts{.windows = windows,
                               .mmio = parts_.mmio,
                               .io = parts_.io,
                               .lines = {},
                               .expected = functions_.size()};
    for (unsigned i = 0; i < pci::kPins; ++i) {
        lines_[i] = VMM_TRY(parts_.vm.irq_line(parts_.lines[i]));
        parts.lines[i] = lines_[i].get();
        parts.line_numbers[i] = static_cast<std::uint8_t>(parts_.lines[i]);
    }
    host_bridge_ = std::make_unique<pci::HostBridge>(parts);
    for (pci::Function* const function : functions_)
        VMM_TRY(host_bridge_->add(*function));
    return host_bridge_->assign_addresses();
}

Result<> PciDevices::add_pvpanic() {
    if (!parts_.config.pvpanic)
        return {};
    pvpanic_.emplace(parts_.events);
    pvpanic_function_.emplace(kPvPanic);
    pvpanic_function_->add_bar(0, {.kind = pci::BarKind::Memory32, .size = kSmallestBar},
                               *pvpanic_);
    functions_.push_back(&*pvpanic_function_);
    return {};
}

Result<> PciDevices::add_disks() {
    const auto& disks = parts_.config.disks;
    for (std::size_t i = 0; i < disks.size(); ++i) {
        const auto& disk = disks[i];
        auto name = config::device_name(disk.id, "disk", i);
        auto backend = VMM_TRY(open_block_file({.path = disk.path,
                                                .readonly = disk.readonly,
                                                .direct = disk.direct,
                                                .logical_block = disk.block_size,
                                                .physical_block = disk.physical_block_size}));
        auto body = VMM_TRY(virtio_blk::Blk::create({.name = name,
                                                     .serial = disk.serial,
                                                     .queues = disk.num_queues,
                                                     .queue_size = disk.queue_size},
                                                    std::move(backend)));
        disks_.push_back({name, body.get()});
        VMM_TRY(add(std::move(name), std::move(body), disk.packed));
    }
    return {};
}

void PciDevices::look_at_disks(Answer answer) {
    if (disks_.empty())
        return answer({});
    if (!sizes_) {
        auto made = DiskSizes::create(parts_.loop, disks_, released_);
        if (!made) {  // a signal has nobody to tell
            log::warn("the sizes of disks stay as they were: ", record_of(made.error()));
            return answer(std::unexpected(std::move(made.error())));
        }
        sizes_ = *std::move(made);
    }
    sizes_->look(std::move(answer));
}

Result<> PciDevices::add_nets() {
    const auto& nets = parts_.config.net;
    for (std::size_t i = 0; i < nets.size(); ++i) {
        const auto& net = nets[i];
        auto name = config::device_name(net.id, "net", i);
        auto backend = VMM_TRY_OR(open_net(net), cat("--net: ", name));
        virtio_net::Options options{.name = name,
                                    .mac = mac_of(parts_.config, net, name),
                                    .mtu = net.mtu,
                                    .queue_size = static_cast<std::uint16_t>(net.queue_size)};
        log::info(name, ": MAC address ", virtio_net::mac_text(options.mac));
        auto body = VMM_TRY(virtio_net::Net::create(std::move(backend), std::move(options)));
        VMM_TRY(add(std::move(name), std::move(body), net.packed));
    }
    return {};
}

Result<> PciDevices::add_console() {
    if (parts_.console == nullptr)
        return {};
    auto body = VMM_TRY(
        virtio_console::Console::create({.name = std::string{config::kConsoleName},
                                         .ports = {{.console = true, .sink = parts_.console}}}));
    console_ = body.get();
    return add(std::string{config::kConsoleName}, std::move(body), parts_.config.console.packed);
}

// A device of their own: the console stays a plain one, which has its size in configuration space
// (most Linux kernels before 6.15 misread the message about it) and output before any message is
// exchanged.
Result<> PciDevices::add_console_ports() {
    static_assert(config::kMaxConsolePorts <= virtio_console::kMaxPorts);
    static_assert(config::kMaxPortName <= virtio_console::kMaxName);
    const auto& ports = parts_.config.console_ports;
    if (ports.empty())
        return {};
    virtio_console::ConsoleOptions options{.name = std::string{config::kConsolePortsName}};
    for (std::size_t i = 0; i < ports.size(); ++i)
        options.ports.push_back({.name = ports[i].name, .sink = parts_.console_ports[i]});
    auto body = VMM_TRY(virtio_console::Console::create(std::move(options)));
    console_ports_ = body.get();
    return add(std::string{config::kConsolePortsName}, std::move(body),
               parts_.config.console.packed);
}

Result<> PciDevices::add_rng() {
    const auto& rng = parts_.config.rng;
    if (!rng)
        return {};
    EntropySource* source = &host_entropy_;
    if (!rng->src.empty()) {
        entropy_file_ = VMM_TRY(open_entropy_file(rng->src, host_entropy_));
        source = entropy_file_.get();
    }
    auto body = VMM_TRY(virtio_rng::Rng::create({.name = std::string{config::kRngName}}, *source));
    return add(std::string{config::kRngName}, std::move(body), rng->packed);
}

Result<> PciDevices::add(std::string name, std::unique_ptr<virtio::Device> body, bool packed) {
    // Ports for kicks as long as they last: half of them, so that the rest can be moved about.
    const auto ports = body->queue_sizes().size() * virtio_pci::layout::kNotifyMultiplier;
    ports_used_ += std::bit_ceil(ports);
    const bool by_port =
        parts_.config.virtio_notify == VirtioNotify::Auto && ports_used_ <= parts_.port_window / 2;
    auto& made = virtio_.emplace_back();
    made.name = std::move(name);
    made.body = std::move(body);
    made.transport =
        VMM_TRY(virtio_pci::Transport::create(*made.body,
                                              {.memory = parts_.memory,
                                               .msi = parts_.vm,
                                               .doorbells = &parts_.vm,
                                               .released = &released_},
                                              {.common = {.packed = packed}, .ports = by_port}));
    functions_.push_back(&made.transport->function());
    return {};
}

void PciDevices::ask_reset() noexcept {
    for (auto& each : virtio_)
        each.transport->ask_reset();
}

std::vector<std::string> PciDevices::busy() const {
    std::vector<std::string> names;
    for (const auto& each : virtio_)
        if (!each.transport->released())
            names.push_back(each.name);
    return names;
}

void PciDevices::finish_reset() noexcept {
    for (auto& each : virtio_)
        each.transport->finish_reset();
    host_bridge_->reset();
}

void PciDevices::ask_end() noexcept {
    ask_reset();
    if (sizes_)
        sizes_->end();
}

std::vector<std::string> PciDevices::busy_at_end() const {
    auto names = busy();
    const std::string* const disk = sizes_ ? sizes_->busy() : nullptr;
    if (disk != nullptr && std::ranges::find(names, *disk) == names.end())
        names.push_back(*disk);
    return names;
}

}  // namespace vmm::machine
