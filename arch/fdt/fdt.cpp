// SPDX-License-Identifier: Apache-2.0
#include "fdt/fdt.hpp"

#include <endian.h>

#include <array>
#include <cstring>

#include "vmm/text.hpp"

namespace vmm::fdt {
namespace {

// Tokens of the structure block. Spec: 5.4.1.
constexpr std::uint32_t kBeginNode = 1, kEndNode = 2, kProperty = 3, kEnd = 9;

void append(std::string& to, std::uint32_t value) {
    const std::uint32_t big = htobe32(value);
    to.append(reinterpret_cast<const char*>(&big), sizeof big);
}

}  // namespace

void Writer::word(std::uint32_t value) {
    append(structure_, value);
}

void Writer::padded(std::string_view bytes) {
    structure_ += bytes;
    structure_.resize((structure_.size() + 3) / 4 * 4);
}

Writer::Node Writer::node(std::string_view name) {
    word(kBeginNode);
    padded(cat(name, '\0'));
    return Node{*this};
}

Writer::Node Writer::node(std::string_view name, Gpa unit) {
    return node(unit_name(name, unit));
}

void Writer::end_node() {
    word(kEndNode);
}

std::uint32_t Writer::offset_of(std::string_view name) {
    const auto known = names_.find(name);
    if (known != names_.end())
        return known->second;
    const auto at = static_cast<std::uint32_t>(strings_.size());
    names_.emplace(name, at);
    strings_ += cat(name, '\0');
    return at;
}

void Writer::property(std::string_view name, std::string_view value) {
    word(kProperty);
    word(static_cast<std::uint32_t>(value.size()));
    word(offset_of(name));
    padded(value);
}

void Writer::texts(std::string_view name, std::initializer_list<std::string_view> values) {
    std::string all;
    for (const auto value : values)
        all += cat(value, '\0');
    property(name, all);
}

void Writer::cells(std::string_view name, std::span<const std::uint32_t> values) {
    std::string bytes;
    for (const std::uint32_t value : values)
        append(bytes, value);
    property(name, bytes);
}

void Writer::ranges(std::string_view name, std::span<const GpaRange> values) {
    std::vector<std::uint32_t> all;
    for (const auto& [first, size] : values)
        all.insert(all.end(), {high(first.value()), low(first.value()), high(size), low(size)});
    cells(name, all);
}

void Writer::number64(std::string_view name, std::uint64_t value) {
    cells(name, {high(value), low(value)});
}

// Header, an empty memory reservation block, the structure, the strings. Spec: 5.2.
std::vector<std::byte> Writer::finish() {
    constexpr std::uint32_t kMagic = 0xd00d'feed, kVersion = 17, kCompatibleWith = 16;
    constexpr std::uint32_t kHeader = 40, kReservations = 16;
    word(kEnd);
    const auto structure = static_cast<std::uint32_t>(structure_.size());
    const auto strings = static_cast<std::uint32_t>(strings_.size());
    constexpr std::uint32_t kStructureAt = kHeader + kReservations;
    std::string whole;
    for (const std::uint32_t field :
         {kMagic, kStructureAt + structure + strings, kStructureAt, kStructureAt + structure,
          kHeader, kVersion, kCompatibleWith, /*boot CPU*/ 0u, strings, structure})
        append(whole, field);
    whole.resize(kStructureAt);
    whole += structure_;
    whole += strings_;
    std::vector<std::byte> bytes(whole.size());
    std::memcpy(bytes.data(), whole.data(), whole.size());
    return bytes;
}

std::string unit_name(std::string_view name, Gpa unit) {
    return cat(name, '@', cat(Hex{unit.value()}).substr(2));
}

}  // namespace vmm::fdt
