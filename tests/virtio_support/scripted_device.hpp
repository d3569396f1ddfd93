// SPDX-License-Identifier: Apache-2.0
// A virtio device without an I/O thread: it does what the test tells it, when the test says so.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "virtio/device.hpp"

namespace vmm::test {

struct ScriptedDevice final : virtio::Device {
    // What it is; set before it is attached.
    virtio::DeviceType kind = virtio::DeviceType::Rng;
    virtio::Features own_features = virtio::feature(3);
    std::vector<std::uint16_t> sizes{64, 8};
    std::array<std::uint8_t, 24> config_bytes{};
    std::vector<virtio::SharedMemory> shared;
    bool agrees = true;           ///< accepts()
    bool answers_at_once = true;  ///< reset(), stop_queue() and pause()

    // What happened.
    virtio::Link* link = nullptr;
    virtio::Features features_seen = 0;
    std::span<virtio::Queue> queues;
    int activations = 0;
    int resets = 0;
    int pauses = 0;
    int resumes = 0;
    std::vector<std::uint16_t> stopped;
    std::vector<std::uint16_t> started;

    virtio::DeviceType type() const noexcept override { return kind; }
    virtio::Features features() const noexcept override { return own_features; }
    std::span<const std::uint16_t> queue_sizes() const noexcept override { return sizes; }
    std::uint32_t config_size() const noexcept override {
        return static_cast<std::uint32_t>(config_bytes.size());
    }
    std::span<const virtio::SharedMemory> shared_memory() const noexcept override { return shared; }
    bool accepts(virtio::Features) const noexcept override { return agrees; }
    void read_config(std::uint32_t offset, std::span<std::byte> to) noexcept override {
        std::memcpy(to.data(), config_bytes.data() + offset, to.size());
    }
    void write_config(std::uint32_t offset, std::span<const std::byte> from) noexcept override {
        std::memcpy(config_bytes.data() + offset, from.data(), from.size());
    }
    void attach(virtio::Link& to) noexcept override { link = &to; }
    void activate(virtio::Features features, std::span<virtio::Queue> with) noexcept override {
        ++activations;
        features_seen = features;
        queues = with;
    }
    void reset() noexcept override {
        ++resets;
        if (answers_at_once)
            link->reset_done();
    }
    void stop_queue(std::uint16_t index) noexcept override {
        stopped.push_back(index);
        if (answers_at_once)
            link->queue_stopped(index);
    }
    void start_queue(virtio::Queue& queue) noexcept override { started.push_back(queue.index()); }
    void pause() noexcept override {
        ++pauses;
        if (answers_at_once)
            link->paused();
    }
    void resume() noexcept override { ++resumes; }
};

}  // namespace vmm::test
