// SPDX-License-Identifier: Apache-2.0
// The two address spaces of devices, port I/O and MMIO: who answers at which address.
//
// The map is a flat sorted array that is never changed, only replaced. Each vCPU reads through a
// BusReader of its own that keeps the array it saw last; a writer never waits for readers and a
// reader takes a lock only to pick up a new array.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "vmm/io_bus.hpp"
#include "vmm/mutex.hpp"

namespace vmm {

class Bus final : public IoBus {
public:
    Bus();

    Result<> map(std::uint64_t base, std::uint64_t size, IoDevice& device) override;
    void unmap(std::uint64_t base) noexcept override;

private:
    friend class BusReader;

    struct Entry {
        std::uint64_t base;
        std::uint64_t last;  // inclusive, so that a region may end at the top of the space
        IoDevice* device;
    };
    using Map = std::vector<Entry>;  // ascending, without overlap

    void publish(std::shared_ptr<const Map> map) noexcept;

    RankedMutex<LockRank::AddressSpace> mutex_;  // over map_, for an instant
    std::shared_ptr<const Map> map_;             // never null
    std::atomic<std::uint64_t> version_;         // changes after map_ does
};

/// One thread's view of a bus. Not shared between threads.
class BusReader {
public:
    explicit BusReader(Bus& bus) : bus_{bus} {}

    /// Any length: one that is no AccessSize, or an access that no device covers whole, reads all
    /// ones and writes nothing.
    void read(std::uint64_t at, std::span<std::byte> data) noexcept;
    void write(std::uint64_t at, std::span<const std::byte> data) noexcept;

private:
    struct Hit {
        IoDevice* device = nullptr;
        Access access;
    };
    Hit find(std::uint64_t at, std::size_t size) noexcept;
    void refresh() noexcept;

    Bus& bus_;
    std::shared_ptr<const Bus::Map> map_;
    std::uint64_t version_ = 0;
};

}  // namespace vmm
