// SPDX-License-Identifier: Apache-2.0
#include "virtio_console/console.hpp"

#include <algorithm>
#include <utility>

#include "vmm/assert.hpp"
#include "vmm/text.hpp"

namespace vmm::virtio_console {
namespace {

constexpr std::uint16_t kControlSize = 32;

// Numbers of queues. Spec: 5.3.2.
constexpr std::uint16_t kToDriver = 2;
constexpr std::uint16_t kFromDriver = 3;

bool plain(const std::vector<PortOptions>& ports) {
    return ports.size() == 1 && ports[0].console && ports[0].name.empty();
}

}  // namespace

Result<std::unique_ptr<Console>> Console::create(ConsoleOptions options) {
    std::unique_ptr<Console> made{new Console{options}};
    made->make_ports(std::move(options.ports));
    VMM_TRY_OR(made->make_worker(ThreadKind::ConsoleIo, cat("io-", options.name), options.stepper),
               options.name);
    return made;
}

Console::Console(ConsoleOptions& options)
    : chain_{std::make_unique_for_overwrite<virtio::Chain>()} {
    const auto& ports = options.ports;
    VMM_ASSERT(!ports.empty() && ports.size() <= kMaxPorts);
    offered_ = virtio::f::kInOrder;
    if (ports[0].console)
        offered_ |= f::kSize | f::kEmergencyWrite;
    sizes_.assign(2, options.queue_size);
    if (plain(ports))
        return;
    offered_ |= f::kMultiport;
    sizes_.insert(sizes_.end(), 2, kControlSize);
    sizes_.insert(sizes_.end(), 2 * (ports.size() - 1), options.queue_size);
}

Console::~Console() {
    end_worker();
}

void Console::make_ports(std::vector<PortOptions> ports) {
    for (PortOptions& port : ports)
        ports_.emplace_back(std::move(port), *chain_);
    control_ = std::make_unique<Control>(ports_, *chain_);
}

void Console::set_size(std::size_t port, std::uint16_t columns, std::uint16_t rows) noexcept {
    VMM_ASSERT(port < ports_.size());
    if (!ports_[port].options().console)
        return;
    const Size size{.columns = columns, .rows = rows};
    if (port == 0 && link() != nullptr)
        link()->update_config_as_owner([&] { size_ = size; });
    else if (port == 0)
        size_ = size;
    const std::scoped_lock held{lock_};
    control_->set_size(port, size);
}

bool Console::has_output(std::size_t port) noexcept {
    const std::scoped_lock held{lock_};
    return ports_.at(port).has_output();
}

std::uint64_t Console::drop_output(std::size_t port) noexcept {
    const std::scoped_lock held{lock_};
    return ports_.at(port).drop_output();
}

// The register side.

void Console::read_config(std::uint32_t offset, std::span<std::byte> to) noexcept {
    const ConfigSpace config{.size = size_, .max_ports = static_cast<std::uint32_t>(ports_.size())};
    const auto bytes = std::as_bytes(std::span{&config, 1}).subspan(offset, to.size());
    std::ranges::copy(bytes, to.begin());
}

// A byte that finds no room is lost and counted: this is for a driver that cannot wait.
void Console::write_config(std::uint32_t offset, std::span<const std::byte> from) noexcept {
    if (offset != offsetof(ConfigSpace, emergency_write) || !ports_[0].options().console)
        return;
    const std::scoped_lock held{lock_};
    ByteSink& sink = *ports_[0].options().sink;
    if (sink.write(from.first(1)) == 0)
        sink.count_lost(1);
}

// The I/O thread.

bool Console::is_control(const virtio::Queue& queue) const noexcept {
    return queue.index() == kToDriver || queue.index() == kFromDriver;
}

Port& Console::port_of(const virtio::Queue& queue) noexcept {
    const std::size_t pair = queue.index() / 2;
    return ports_[pair == 0 ? 0 : pair - 1];
}

void Console::started(virtio::Features features, std::span<virtio::Queue>) noexcept {
    const std::scoped_lock held{lock_};
    multiport_ = (features & f::kMultiport) != 0;
    // A driver without messages says nothing about who reads.
    if (!multiport_)
        ports_[0].set_open(true);
}

void Console::kicked(virtio::Queue& queue) noexcept {
    const std::scoped_lock held{lock_};
    if (queue.index() >= kToDriver && !multiport_)
        return;
    if (queue.index() == kToDriver)
        control_->give(queue);
    else if (queue.index() == kFromDriver)
        control_->take(queue);
    else if (queue.index() % 2 == 0)
        port_of(queue).refilled(queue);
    else
        port_of(queue).transmit(queue);
}

void Console::stop(virtio::Queue& queue) noexcept {
    const std::scoped_lock held{lock_};
    if (is_control(queue))
        control_->leave(queue);
    else
        port_of(queue).leave(queue);
}

void Console::stopped() noexcept {
    const std::scoped_lock held{lock_};
    control_->forget();
    for (Port& port : ports_)
        port.set_open(false);
    set_paused(false);
}

// Input and messages come from the machine's loop, too.
bool Console::quiesce() noexcept {
    const std::scoped_lock held{lock_};
    set_paused(true);
    return true;
}

void Console::resumed() noexcept {
    const std::scoped_lock held{lock_};
    set_paused(false);
}

void Console::set_paused(bool paused) noexcept {
    for (Port& port : ports_)
        port.set_paused(paused);
    control_->set_paused(paused);
}

}  // namespace vmm::virtio_console
