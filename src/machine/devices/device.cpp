// SPDX-License-Identifier: Apache-2.0
#include "machine/devices/device.hpp"

#include <bit>
#include <utility>

#include "virtio_pci/transport.hpp"

namespace vmm::machine {
namespace {

class VirtioDevice final : public PciDevice {
public:
    VirtioDevice(std::shared_ptr<void> backend, std::unique_ptr<virtio::Device> body,
                 std::unique_ptr<virtio_pci::Transport> transport)
        : backend_{std::move(backend)}, body_{std::move(body)}, transport_{std::move(transport)} {}

    pci::Endpoint& endpoint() noexcept override { return transport_->function(); }
    void ask_reset() noexcept override { transport_->ask_reset(); }
    bool released() noexcept override { return transport_->released(); }
    void finish_reset() noexcept override { transport_->finish_reset(); }

private:
    // The transport goes first, then the body.
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
    const auto ports = body->queue_sizes().size() * virtio_pci::layout::kNotifyMultiplier;
    const bool by_port = parts.notify_ports.take(std::bit_ceil(ports));
    auto transport =
        VMM_TRY(virtio_pci::Transport::create(*body,
                                              {.memory = parts.memory,
                                               .msi = parts.vm,
                                               .doorbells = &parts.vm,
                                               .released = &parts.released},
                                              {.common = {.packed = packed}, .ports = by_port}));
    return std::make_unique<VirtioDevice>(std::move(backend), std::move(body),
                                          std::move(transport));
}

}  // namespace vmm::machine
