// SPDX-License-Identifier: Apache-2.0
// A virtio device with an I/O thread: gives back what it reads, inverted. As small as a real one
// can be; copy its shape.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "virtio/device.hpp"
#include "virtio/worker_device.hpp"

namespace vmm::test {

class EchoDevice final : public virtio::WorkerDevice {
public:
    EchoDevice() { make_worker(ThreadKind::BlockIo, "io-echo", nullptr).value(); }
    ~EchoDevice() override { end_worker(); }

    virtio::DeviceType type() const noexcept override { return virtio::DeviceType::Rng; }
    virtio::Features features() const noexcept override { return virtio::f::kInOrder; }
    std::span<const std::uint16_t> queue_sizes() const noexcept override { return kSizes; }
    std::uint32_t config_size() const noexcept override { return 0; }
    bool accepts(virtio::Features) const noexcept override { return true; }
    void read_config(std::uint32_t, std::span<std::byte>) noexcept override {}
    void write_config(std::uint32_t, std::span<const std::byte>) noexcept override {}

private:
    static constexpr std::array<std::uint16_t, 2> kSizes{16, 16};

    void started(virtio::Features, std::span<virtio::Queue>) noexcept override {}
    void kicked(virtio::Queue& queue) noexcept override {
        do {
            queue.disable_kicks();
            while (queue.pop(chain_))
                queue.complete(chain_.head(), serve(queue.memory()));
            queue.publish();
        } while (queue.enable_kicks());
    }
    void ready(std::uint32_t, std::uint32_t) noexcept override {}
    void stop(virtio::Queue&) noexcept override {}
    void stopped() noexcept override {}
    bool quiesce() noexcept override { return true; }
    void resumed() noexcept override {}

    std::uint32_t serve(GuestMemory& memory) noexcept {
        std::array<std::byte, 64> buffer;
        virtio::Cursor in = chain_.reader();
        virtio::Cursor out = chain_.writer();
        const auto bytes = std::min<std::uint64_t>({in.remaining(), out.remaining(), 64});
        const auto part = std::span{buffer}.first(bytes);
        if (!in.copy_in(memory, part))
            return 0;
        for (std::byte& b : part)
            b = ~b;
        return out.copy_out(memory, part) ? static_cast<std::uint32_t>(bytes) : 0;
    }

    virtio::Chain chain_;
};

}  // namespace vmm::test
