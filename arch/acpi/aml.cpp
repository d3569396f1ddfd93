// SPDX-License-Identifier: Apache-2.0
#include "acpi/aml.hpp"

#include <limits>

#include "vmm/assert.hpp"

namespace vmm::aml {

NameSeg NameSeg::numbered(char letter, unsigned number) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    VMM_ASSERT(number < 4096);
    NameSeg segment;
    segment.chars_ = {letter, kDigits[number >> 8], kDigits[number >> 4 & 0xf],
                      kDigits[number & 0xf]};
    return segment;
}

void Writer::raw(std::span<const std::byte> bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
}

void Writer::integer(std::uint64_t value) {
    if (value <= 1)
        return byte(static_cast<std::uint8_t>(value));  // ZeroOp, OneOp
    if (value <= 0xff) {
        byte(0x0a);  // BytePrefix
        byte(static_cast<std::uint8_t>(value));
    } else if (value <= 0xffff) {
        byte(0x0b);  // WordPrefix
        little_endian(static_cast<std::uint16_t>(value));
    } else if (value <= 0xffff'ffff) {
        byte(0x0c);  // DWordPrefix
        little_endian(static_cast<std::uint32_t>(value));
    } else {
        byte(0x0e);  // QWordPrefix
        little_endian(value);
    }
}

void Writer::operation_region(NamePath path, SpaceId space, std::uint64_t offset,
                              std::uint64_t length) {
    byte(0x5b);  // ExtOpPrefix
    byte(0x80);  // OpRegionOp
    write(path);
    byte(static_cast<std::uint8_t>(space));
    add(offset, length);
}

void Writer::byte_field(NamePath region, std::initializer_list<FieldUnit> units) {
    constexpr std::uint8_t kByteAccess = 1;
    field(region, kByteAccess, units);
}

void Writer::dword_field(NamePath region, std::initializer_list<FieldUnit> units) {
    constexpr std::uint8_t kDwordAccess = 3;
    field(region, kDwordAccess, units);
}

void Writer::field(const NamePath& region, std::uint8_t access,
                   std::initializer_list<FieldUnit> units) {
    constexpr unsigned kWriteAsZeros = 2;

    byte(0x5b);        // ExtOpPrefix
    block(0x81, [&] {  // FieldOp
        write(region);
        byte(static_cast<std::uint8_t>(access | kWriteAsZeros << 5));
        for (const FieldUnit& unit : units) {
            VMM_ASSERT(unit.bits < 0x40);  // its length is encoded like that of a package
            write(unit.name);
            byte(unit.bits);
        }
    });
}

// PkgLength (20.2.4) counts itself. One byte has 6 bits of length; more than that is 4 bits in the
// first byte, whose top two bits say how many bytes of 8 follow.
void Writer::put_length(std::size_t start) {
    const std::size_t body = out_.size() - start;
    std::array<std::byte, 4> encoded{};
    std::size_t size = 1;
    if (body + size < 0x40) {
        encoded[0] = static_cast<std::byte>(body + size);
    } else {
        do
            ++size;
        while (body + size >= std::size_t{1} << (8 * size - 4));
        VMM_ASSERT(size <= encoded.size());
        std::size_t length = body + size;
        encoded[0] = static_cast<std::byte>((size - 1) << 6 | (length & 0xf));
        length >>= 4;
        for (std::size_t i = 1; i < size; ++i, length >>= 8)
            encoded[i] = static_cast<std::byte>(length);
    }
    out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(start), encoded.begin(),
                encoded.begin() + static_cast<std::ptrdiff_t>(size));
}

// BufferSize is an integer term in front of the bytes.
void Writer::put_buffer_size(std::size_t start) {
    const std::size_t body = out_.size() - start;
    VMM_ASSERT(body >= 2 && body <= 0xffff);
    const std::array<std::byte, 3> encoded =
        body <= 0xff ? std::array{std::byte{0x0a}, static_cast<std::byte>(body), std::byte{}}
                     : std::array{std::byte{0x0b}, static_cast<std::byte>(body),
                                  static_cast<std::byte>(body >> 8)};
    out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(start), encoded.begin(),
                encoded.begin() + (body <= 0xff ? 2 : 3));
}

// ---- resource descriptors -----------------------------------------------------------------------

void Resources::io(std::uint16_t first, std::uint8_t count) {
    to_.byte(0x47);  // small item, 7 bytes
    to_.byte(0x01);  // decodes 16 address bits
    to_.little_endian(first);
    to_.little_endian(first);
    to_.byte(1);  // alignment
    to_.byte(count);
}

void Resources::interrupt(hv::Gsi gsi, Trigger trigger) {
    constexpr unsigned kConsumer = 1;
    to_.byte(0x89);
    to_.little_endian(std::uint16_t{6});
    to_.byte(static_cast<std::uint8_t>(kConsumer | static_cast<unsigned>(trigger) << 1));
    to_.byte(1);  // one interrupt
    to_.little_endian(static_cast<std::uint32_t>(gsi));
}

void Resources::memory32_fixed(std::uint32_t first, std::uint32_t size) {
    to_.byte(0x86);
    to_.little_endian(std::uint16_t{9});
    to_.byte(1);  // may be written
    to_.little_endian(first);
    to_.little_endian(size);
}

template <std::unsigned_integral T>
void Resources::address_space(Kind kind, std::uint8_t type_flags, T first, T last) {
    constexpr std::uint8_t kTag = sizeof(T) == 2 ? 0x88 : sizeof(T) == 4 ? 0x87 : 0x8a;
    constexpr std::uint8_t kFixedRange = 0x0c;  // _MIF, _MAF; producer, positive decode

    to_.byte(kTag);
    to_.little_endian(static_cast<std::uint16_t>(3 + 5 * sizeof(T)));
    to_.byte(static_cast<std::uint8_t>(kind));
    to_.byte(kFixedRange);
    to_.byte(type_flags);
    to_.little_endian(T{0});  // granularity
    to_.little_endian(first);
    to_.little_endian(last);
    to_.little_endian(T{0});  // translation
    to_.little_endian(static_cast<T>(last - first + 1));
}

void Resources::bus_numbers(std::uint8_t first, std::uint8_t last) {
    address_space<std::uint16_t>(Kind::Bus, 0, first, last);
}

void Resources::word_io_window(std::uint16_t first, std::uint16_t last) {
    constexpr std::uint8_t kEntireRange = 3;
    address_space<std::uint16_t>(Kind::Io, kEntireRange, first, last);
}

void Resources::memory_window(std::uint64_t first, std::uint64_t last, Caching caching) {
    constexpr unsigned kWritable = 1;
    const auto flags = static_cast<std::uint8_t>(kWritable | static_cast<unsigned>(caching) << 1);
    if (last <= std::numeric_limits<std::uint32_t>::max())
        address_space(Kind::Memory, flags, static_cast<std::uint32_t>(first),
                      static_cast<std::uint32_t>(last));
    else
        address_space(Kind::Memory, flags, first, last);
}

}  // namespace vmm::aml
