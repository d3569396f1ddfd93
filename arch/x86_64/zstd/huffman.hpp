// zstd's Huffman coded literals.
//
// Spec: RFC 8878, 3.1.1.3.1 (literals section), 4.2 (Huffman coding).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "x86_64/zstd/bit_reader.hpp"

namespace vmm::x86_64::zstd {

/// Longest code, 4.2.1.
inline constexpr unsigned kMostHuffmanBits = 11;

/// A table that stays valid for later blocks ("treeless" literals).
class HuffmanTable {
public:
    /// From the description at the start of `from`; gives its length.
    std::optional<std::size_t> read(Bytes from);
    bool is_set() const { return set_; }

    /// One stream, exactly `to.size()` symbols; `to` may be written 8 bytes beyond its end. False
    /// if the stream is not of that length.
    bool decode(Bytes from, std::span<std::byte> to) const;

    /// Four streams of equal length (the last one shorter), one after the other, which decode
    /// faster.
    bool decode4(Bytes from, std::span<std::byte> to) const;

private:
    using Weights = std::array<std::uint8_t, 256>;

    bool fill(Weights& weights, unsigned count);

    /// By the next 11 bits: symbol in the upper byte, its length in the lower one.
    std::array<std::uint16_t, 1U << kMostHuffmanBits> entries_{};
    bool set_ = false;
};

}  // namespace vmm::x86_64::zstd
