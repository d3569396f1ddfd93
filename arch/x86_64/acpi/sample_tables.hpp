// SPDX-License-Identifier: Apache-2.0
// Test support: machines to build ACPI tables for, and a way to find a table among the bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "x86_64/acpi/tables.hpp"
#include "x86_64/layout.hpp"

namespace vmm::x86_64 {

inline std::vector<std::uint32_t> apic_ids(std::uint32_t count) {
    std::vector<std::uint32_t> ids(count);
    std::iota(ids.begin(), ids.end(), 0U);
    return ids;
}

/// A bridge with every kind of window and all pins of 32 devices wired.
class SamplePci {
public:
    SamplePci() {
        for (std::uint8_t device = 0; device < 32; ++device)
            for (std::uint8_t pin = 0; pin < 4; ++pin)
                intx_.push_back({.device = device,
                                 .pin = pin,
                                 .gsi = hv::Gsi{kGsiPciFirst + (device + pin) % kGsiPciCount}});
    }

    PciHost host() const {
        return {.segment = 0,
                .first_bus = 0,
                .last_bus = 255,
                .ecam = kEcam.first,
                .config_ports = true,
                .windows = windows_,
                .intx = intx_};
    }

    PciHost host_with_hotplug() const {
        auto pci = host();
        pci.hotplug = acpi::PciHotplugRegisters{.address = kPortPciHotplug.first};
        return pci;
    }

private:
    using Kind = PciHost::Window::Kind;
    std::array<PciHost::Window, 4> windows_{{
        {.kind = Kind::Io, .first = kPortsPci.first, .size = kPortsPci.count},
        {.kind = Kind::Memory, .first = kPciWindow32.first.value(), .size = kPciWindow32.size},
        {.kind = Kind::PrefetchableMemory, .first = 0x40'0000'0000, .size = 0x10'0000'0000},
        {.kind = Kind::Memory, .first = 0x50'0000'0000, .size = 0},
    }};
    std::vector<PciHost::Intx> intx_;
};

inline std::uint64_t little_endian(std::span<const std::byte> bytes, std::size_t at,
                                   std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
        value |= std::to_integer<std::uint64_t>(bytes[at + i]) << (8 * i);
    return value;
}

inline unsigned sum_of(std::span<const std::byte> bytes) {
    unsigned sum = 0;
    for (const std::byte b : bytes)
        sum += std::to_integer<unsigned>(b);
    return sum & 0xff;
}

/// The tables as a guest finds them, from the RSDP on.
class TableView {
public:
    explicit TableView(const Tables& tables) : tables_{tables} {}

    std::span<const std::byte> rsdp() const {
        return std::span{tables_.bytes}.subspan(tables_.rsdp - tables_.rsdp, 36);
    }
    std::span<const std::byte> xsdt() const { return at(little_endian(rsdp(), 24, 8)); }

    /// Empty if there is none.
    std::span<const std::byte> table(std::string_view signature) const {
        if (signature == "DSDT")
            return at(little_endian(table("FACP"), 140, 8));
        const auto all = xsdt();
        for (std::size_t entry = 36; entry + 8 <= all.size(); entry += 8) {
            const auto found = at(little_endian(all, entry, 8));
            if (std::memcmp(found.data(), signature.data(), 4) == 0)
                return found;
        }
        return {};
    }

private:
    std::span<const std::byte> at(std::uint64_t address) const {
        const auto from = std::span{tables_.bytes}.subspan(address - tables_.rsdp.value());
        return from.first(little_endian(from, 4, 4));
    }

    const Tables& tables_;
};

}  // namespace vmm::x86_64
