// SPDX-License-Identifier: Apache-2.0
// Writes a flattened device tree, node by node.
//
// Spec: Devicetree Specification 0.4, chapter 5 (version 17 of the format). Cells are 32 bits, big
// endian; addresses and sizes take two. Threads: one.
// Our own, and not libfdt's writer: Debian's libfdt-dev cannot be installed for two architectures
// at once, so what is built for one of them could not be tested with the other's sanitizers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/gpa.hpp"

namespace vmm::fdt {

class Writer {
public:
    /// Ends its node.
    class Node {
    public:
        explicit Node(Writer& writer) : writer_{&writer} {}
        Node(const Node&) = delete;
        Node& operator=(const Node&) = delete;
        ~Node() { writer_->end_node(); }

    private:
        Writer* writer_;
    };

    /// Inside of the one that is open, after the properties of that. The root has no name.
    [[nodiscard]] Node node(std::string_view name);
    /// "name@1000": by the address where it begins.
    [[nodiscard]] Node node(std::string_view name, Gpa unit);

    void flag(std::string_view name) { property(name, {}); }
    void text(std::string_view name, std::string_view value) { texts(name, {value}); }
    void texts(std::string_view name, std::initializer_list<std::string_view> values);
    void cells(std::string_view name, std::span<const std::uint32_t> values);
    void cells(std::string_view name, std::initializer_list<std::uint32_t> values) {
        cells(name, std::span{values.begin(), values.size()});
    }
    /// Pairs of address and size.
    void ranges(std::string_view name, std::span<const GpaRange> values);
    void ranges(std::string_view name, std::initializer_list<GpaRange> values) {
        ranges(name, std::span{values.begin(), values.size()});
    }
    void number64(std::string_view name, std::uint64_t value);

    /// The whole file. All nodes have ended.
    std::vector<std::byte> finish();

private:
    void word(std::uint32_t value);
    void padded(std::string_view bytes);
    void property(std::string_view name, std::string_view value);
    void end_node();
    std::uint32_t offset_of(std::string_view name);

    std::string structure_;
    std::string strings_;
    std::map<std::string, std::uint32_t, std::less<>> names_;  // where they are in strings_
};

/// "name@1000", as Writer::node() names it.
std::string unit_name(std::string_view name, Gpa unit);

/// The halves of a number, for cells().
constexpr std::uint32_t high(std::uint64_t value) {
    return static_cast<std::uint32_t>(value >> 32);
}
constexpr std::uint32_t low(std::uint64_t value) {
    return static_cast<std::uint32_t>(value);
}

}  // namespace vmm::fdt
