// Finite state entropy tables of zstd: from their description in the stream to something to decode
// by.
//
// Spec: RFC 8878, 4.1.1. Everything in the stream is taken for hostile.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "x86_64/zstd/bit_reader.hpp"

namespace vmm::x86_64::zstd {

inline constexpr unsigned kMostFseLog = 9;
inline constexpr std::size_t kMostFseSymbols = 53;

/// How often each symbol comes, in units of 1 / 2^log; -1 stands for "less than one".
struct FseCounts {
    std::array<std::int16_t, kMostFseSymbols> count{};
    unsigned symbols = 0;
    unsigned log = 0;
    std::size_t bytes = 0;  ///< of the description
};

/// Nothing if the description is wrong, or wants more than `most_symbols` or `most_log`.
std::optional<FseCounts> read_fse_counts(Bytes from, unsigned most_symbols, unsigned most_log);

/// One state: what it stands for, and how the next one is found.
struct FseState {
    std::uint8_t symbol;
    std::uint8_t bits;   ///< to be read for the next state
    std::uint16_t next;  ///< and added to this
};

/// Fills the first 2^log of `table`.
void build_fse_table(const FseCounts& counts, std::span<FseState> table);

}  // namespace vmm::x86_64::zstd
