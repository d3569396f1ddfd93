// SPDX-License-Identifier: Apache-2.0
#include "machine/devices/device.hpp"

#include <bit>
#include <utility>

#include "virtio_pci/transport.hpp"

namespace vmm::machine {
namespace {

/// Some of the ports, until it goes.
class PortShare {
public:
    PortShare(NotifyPorts& from, std::uint64_t ports)
        : from_{from}, ports_{from.take(ports) ? ports : 0} {}
    ~PortShare() { from_.give_back(ports_); }
    PortShare(const PortShare&) = delete;
    PortShare& operator=(const PortShare&) = delete;

    bool has_any() const noexcept { return ports_ != 0; }

private:
    NotifyPorts& from_;
    std::uint64_t ports_;
};

class VirtioDevice final : public PciDevice {
public:
    VirtioDevice(std::unique_ptr<PortShare> ports, std::shared_ptr<void> backend,
                 std::unique_ptr<virtio::Device> body,
                 std::unique_ptr<virtio_pci::Transport> transport)
        : ports_{std::move(ports)},
          backend_{std::move(backend)},
          body_{std::move(body)},
          transport_{std::move(transport)} {}

    pci::Endpoint& endpoint() noexcept override { return transport_->function(); }
    void prepare() noexcept override { body_->prepare(); }
    void ask_reset() noexcept override { transport_->ask_reset(); }
    bool released() noexcept override { return transport_->released(); }
    void finish_reset() noexcept override { transport_->finish_reset(); }
    void ask_pause() noexcept override { transport_->ask_pause(); }
    bool quiet() noexcept override { return transport_->quiet(); }
    void resume() noexcept override { transport_->resume(); }

private:
    // The transport goes first, then the body.
    std::unique_ptr<PortShare> ports_;
    std::shared_ptr<void> backend_;
    std::unique_ptr<virtio::Device> body_;
    std::unique_ptr<virtio_pci::Transport> transport_;
};

}  // namespace

bool NotifyPorts::take(std::uint64_t ports) noexcept {
    if (ports > available_)
        return false;
    available_ -= ports;
    return true;
}

Result<std::unique_ptr<PciDevice>> make_virtio_device(std::unique_ptr<virtio::Device> body,
                                                      bool packed, const DeviceParts& parts,
                                                      std::shared_ptr<void> backend) {
    const auto bytes = body->queue_sizes().size() * virtio_pci::layout::kNotifyMultiplier;
    auto ports = std::make_unique<PortShare>(parts.notify_ports, std::bit_ceil(bytes));
    auto transport = VMM_TRY(
        virtio_pci::Transport::create(*body,
                                      {.memory = parts.memory,
                                       .msi = parts.vm,
                                       .doorbells = &parts.vm,
                                       .released = &parts.released},
                                      {.common = {.packed = packed}, .ports = ports->has_any()}));
    return std::make_unique<VirtioDevice>(std::move(ports), std::move(backend), std::move(body),
                                          std::move(transport));
}

}  // namespace vmm::machine
