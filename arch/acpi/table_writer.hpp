// SPDX-License-Identifier: Apache-2.0
// ACPI tables one after the other in guest memory: what all of them have in common, and the root
// that leads to them.
//
// Spec: ACPI 6.5, 5.2.5.3 (RSDP), 5.2.6 (header), 5.2.8 (XSDT).
// One thread; the buffer must outlive the writer. Trusts its caller: nothing here sees a guest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "acpi/aml.hpp"
#include "vmm/gpa.hpp"

namespace vmm::acpi {

inline constexpr std::size_t kRsdpSize = 36;  ///< bytes

/// Tables one after the other in guest memory, each on a 16-byte boundary.
class TableWriter {
public:
    /// The first byte of `bytes` will lie at `where`.
    TableWriter(aml::Bytes& bytes, Gpa where) : bytes_{bytes}, where_{where} {}

    /// A table: `body` writes what follows the header (5.2.6). Returns its address.
    template <class Body>
    Gpa table(std::string_view signature, std::uint8_t revision, Body&& body) {
        const std::size_t start = begin(signature, revision);
        aml::Writer to{bytes_};
        body(to);
        finish(start);
        return Gpa{where_.value() + start};
    }

    /// The list of all tables but the DSDT. Returns its address.
    Gpa xsdt(std::span<const Gpa> tables);

private:
    std::size_t begin(std::string_view signature, std::uint8_t revision);
    void finish(std::size_t start);

    aml::Bytes& bytes_;
    Gpa where_;
};

void put_zeros(aml::Writer& to, std::size_t count);

/// `rsdp` is kRsdpSize bytes.
void write_rsdp(std::span<std::byte> rsdp, Gpa xsdt);

}  // namespace vmm::acpi
