// SPDX-License-Identifier: Apache-2.0
// An address space of devices for tests: does what the real bus does, in the simplest way.
//
// Accesses take the device's lock and call after_write() without it, as the contract says.
// Threads: one, unless a test only reads and writes a map that stays as it is.
#pragma once

#include <cstdint>
#include <map>

#include "vmm/io_bus.hpp"

namespace vmm::test {

class FakeIoBus final : public IoBus {
public:
    Result<> map(std::uint64_t base, std::uint64_t size, IoDevice& device) override {
        if (size == 0 || base > ~std::uint64_t{0} - (size - 1))
            return std::unexpected(Error{ErrorKind::Config, "range is empty or wraps"});
        for (const auto& [other, region] : regions_)
            if (base <= other + (region.size - 1) && other <= base + (size - 1))
                return std::unexpected(Error{ErrorKind::Config, "range is taken"});
        regions_[base] = {size, &device};
        return {};
    }
    void unmap(std::uint64_t base) noexcept override { regions_.erase(base); }

    std::uint64_t read(std::uint64_t at, AccessSize size) {
        const Hit hit = find(at, size);
        std::uint64_t value = ~std::uint64_t{0};
        if (hit.device != nullptr) {
            const std::scoped_lock held{hit.device->lock()};
            value = hit.device->read(hit.access);
        }
        const unsigned bits = static_cast<unsigned>(size) * 8;
        return bits == 64 ? value : value & ((std::uint64_t{1} << bits) - 1);
    }
    void write(std::uint64_t at, AccessSize size, std::uint64_t value) {
        const Hit hit = find(at, size);
        if (hit.device == nullptr)
            return;
        {
            const std::scoped_lock held{hit.device->lock()};
            hit.device->write(hit.access, value);
        }
        hit.device->after_write();
    }

    bool mapped(std::uint64_t base) const { return regions_.contains(base); }
    std::size_t count() const { return regions_.size(); }

    // Short forms.
    std::uint8_t read8(std::uint64_t at) {
        return static_cast<std::uint8_t>(read(at, AccessSize::Byte));
    }
    std::uint16_t read16(std::uint64_t at) {
        return static_cast<std::uint16_t>(read(at, AccessSize::Word));
    }
    std::uint32_t read32(std::uint64_t at) {
        return static_cast<std::uint32_t>(read(at, AccessSize::Dword));
    }
    void write8(std::uint64_t at, std::uint8_t value) { write(at, AccessSize::Byte, value); }
    void write16(std::uint64_t at, std::uint16_t value) { write(at, AccessSize::Word, value); }
    void write32(std::uint64_t at, std::uint32_t value) { write(at, AccessSize::Dword, value); }

private:
    struct Region {
        std::uint64_t size;
        IoDevice* device;
    };
    struct Hit {
        IoDevice* device = nullptr;
        Access access;
    };

    Hit find(std::uint64_t at, AccessSize size) {
        auto above = regions_.upper_bound(at);
        if (above == regions_.begin())
            return {};
        const auto& [base, region] = *--above;
        const std::uint64_t offset = at - base;
        const auto bytes = static_cast<std::uint64_t>(size);
        if (offset >= region.size || bytes > region.size - offset)
            return {};
        return {region.device, {.offset = offset, .size = size}};
    }

    std::map<std::uint64_t, Region> regions_;
};

}  // namespace vmm::test
