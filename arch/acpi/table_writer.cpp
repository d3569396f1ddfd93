// SPDX-License-Identifier: Apache-2.0
#include "acpi/table_writer.hpp"

#include <algorithm>

#include "vmm/assert.hpp"

namespace vmm::acpi {
namespace {

using aml::Bytes;
using aml::Writer;

// Who made the tables; shown in the guest's log.
constexpr std::string_view kOemId = "VMM   ";
constexpr std::string_view kOemTableId = "VMMTABLE";
constexpr std::uint32_t kOemRevision = 1;
constexpr std::string_view kCreatorId = "VMM ";
constexpr std::uint32_t kCreatorRevision = 1;

constexpr std::size_t kHeaderSize = 36;
constexpr std::size_t kLengthAt = 4;
constexpr std::size_t kChecksumAt = 9;

std::byte checksum(std::span<const std::byte> bytes) {
    unsigned sum = 0;
    for (const std::byte b : bytes)
        sum += std::to_integer<unsigned>(b);
    return static_cast<std::byte>(0U - sum);
}

}  // namespace

std::size_t TableWriter::begin(std::string_view signature, std::uint8_t revision) {
    while (bytes_.size() % 16 != 0)
        bytes_.push_back({});
    const std::size_t start = bytes_.size();
    Writer to{bytes_};
    to.raw(signature);
    to.little_endian(std::uint32_t{0});  // length
    to.byte(revision);
    to.byte(0);  // checksum
    to.raw(kOemId);
    to.raw(kOemTableId);
    to.little_endian(kOemRevision);
    to.raw(kCreatorId);
    to.little_endian(kCreatorRevision);
    VMM_ASSERT(bytes_.size() - start == kHeaderSize);
    return start;
}

void TableWriter::finish(std::size_t start) {
    const std::span table = std::span{bytes_}.subspan(start);
    for (std::size_t i = 0; i < 4; ++i)
        table[kLengthAt + i] = static_cast<std::byte>(table.size() >> (8 * i));
    table[kChecksumAt] = checksum(table);
}

Gpa TableWriter::xsdt(std::span<const Gpa> tables) {
    return table("XSDT", 1, [&](Writer& to) {
        for (const Gpa table : tables)
            to.little_endian(table.value());
    });
}

void put_zeros(Writer& to, std::size_t count) {
    while (count-- != 0)
        to.byte(0);
}

void write_rsdp(std::span<std::byte> rsdp, Gpa xsdt) {  // 5.2.5.3
    constexpr std::size_t kRsdpSizeOfRevision0 = 20;

    Bytes bytes;
    bytes.reserve(kRsdpSize);
    Writer to{bytes};
    to.raw(std::string_view{"RSD PTR "});
    to.byte(0);  // 8: checksum of the first 20 bytes
    to.raw(kOemId);
    to.byte(2);                          // 15: revision
    to.little_endian(std::uint32_t{0});  // 16: RSDT; there is an XSDT
    to.little_endian(static_cast<std::uint32_t>(kRsdpSize));
    to.little_endian(xsdt.value());
    put_zeros(to, 4);  // 32: checksum of all bytes
    bytes[8] = checksum(std::span{bytes}.first(kRsdpSizeOfRevision0));
    bytes[32] = checksum(bytes);
    std::ranges::copy(bytes, rsdp.begin());
}

}  // namespace vmm::acpi
