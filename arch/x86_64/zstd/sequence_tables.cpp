#include <algorithm>

#include "x86_64/zstd/sequences.hpp"

namespace vmm::x86_64::zstd {
namespace {

struct Value {
    std::uint32_t base;
    std::uint8_t bits;
};

// 3.1.1.3.2.1.1: codes of literal and match lengths.
constexpr std::array<Value, 36> kLiteralLengths = [] {
    std::array<Value, 36> values{};
    for (std::uint32_t i = 0; i < 16; ++i)
        values[i] = {i, 0};
    constexpr std::array<std::uint8_t, 20> kBits{1, 1, 1, 1,  2,  2,  3,  3,  4,  6,
                                                 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    std::uint32_t base = 16;
    for (std::size_t i = 0; i < kBits.size(); ++i) {
        values[16 + i] = {base, kBits[i]};
        base += 1U << kBits[i];
    }
    return values;
}();
static_assert(kLiteralLengths[24].base == 48 && kLiteralLengths[25].base == 64 &&
              kLiteralLengths[35].base == 65536);

constexpr std::array<Value, 53> kMatchLengths = [] {
    std::array<Value, 53> values{};
    for (std::uint32_t i = 0; i < 32; ++i)
        values[i] = {i + 3, 0};
    constexpr std::array<std::uint8_t, 21> kBits{1, 1, 1, 1,  2,  2,  3,  3,  4,  4, 5,
                                                 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    std::uint32_t base = 35;
    for (std::size_t i = 0; i < kBits.size(); ++i) {
        values[32 + i] = {base, kBits[i]};
        base += 1U << kBits[i];
    }
    return values;
}();
static_assert(kMatchLengths[43].base == 131 && kMatchLengths[52].base == 65539);

/// 3.1.1.3.2.2: tables for blocks that bring none.
template <std::size_t N>
constexpr FseCounts predefined(unsigned log, const std::array<std::int16_t, N>& counts) {
    FseCounts made;
    made.log = log;
    made.symbols = N;
    std::copy(counts.begin(), counts.end(), made.count.begin());
    return made;
}

constexpr FseCounts kUsualLiteralLengths = predefined(
    6, std::array<std::int16_t, 36>{4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1,  1,  2,  2,
                                    2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1});
constexpr FseCounts kUsualMatchLengths = predefined(
    6, std::array<std::int16_t, 53>{1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1,  1,  1,  1,  1,  1,  1, 1,
                                    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  1,  1, 1,
                                    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1});
constexpr FseCounts kUsualOffsets =
    predefined(5, std::array<std::int16_t, 29>{1, 1, 1, 1, 1, 1, 2, 2, 2, 1,  1,  1,  1,  1, 1,
                                               1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1});

struct Limits {
    unsigned symbols;
    unsigned log;
    const FseCounts& usual;
};

Limits limits_of(SequenceCode code) {
    switch (code) {
        case SequenceCode::LiteralLength:
            return {36, 9, kUsualLiteralLengths};
        case SequenceCode::Offset:
            return {32, 8, kUsualOffsets};
        case SequenceCode::MatchLength:
            break;
    }
    return {53, 9, kUsualMatchLengths};
}

/// The value of a symbol. Offset codes 0 and 1 are repeat offsets and keep their number; above them
/// the three values that mean a repeat offset are taken off at once.
bool describe(SequenceCode code, unsigned symbol, SequenceState& state) {
    Value value{};
    if (symbol >= limits_of(code).symbols)
        return false;
    if (code == SequenceCode::Offset) {
        const std::uint32_t base = std::uint32_t{1} << symbol;
        value = {symbol > 1 ? base - 3 : base, static_cast<std::uint8_t>(symbol)};
    } else {
        value =
            code == SequenceCode::LiteralLength ? kLiteralLengths[symbol] : kMatchLengths[symbol];
    }
    state.base = value.base;
    state.value_bits = value.bits;
    return true;
}

}  // namespace

bool SequenceTables::build(SequenceCode code, const FseCounts& counts) {
    SequenceTable& table = tables_[static_cast<std::size_t>(code)];
    std::array<SequenceState, kMostFseSymbols> described;
    for (unsigned symbol = 0; symbol < counts.symbols; ++symbol) {
        if (!describe(code, symbol, described[symbol]))
            return false;
        if (counts.count[symbol] != 0)
            table.most_value_bits =
                std::max<unsigned>(table.most_value_bits, described[symbol].value_bits);
    }
    build_fse_table(counts, scratch_);
    table.log = counts.log;
    const std::size_t size = std::size_t{1} << table.log;
    SequenceState* const states = states_.data() + table.first;
    for (std::size_t i = 0; i < size; ++i) {
        const FseState state = scratch_.data()[i];
        SequenceState made = described.data()[state.symbol];
        made.next = static_cast<std::uint16_t>(state.next + table.first);
        made.next_bits = state.bits;
        states[i] = made;
    }
    return true;
}

bool SequenceTables::read(SequenceCode code, TableMode mode, Bytes& from) {
    SequenceTable& table = tables_[static_cast<std::size_t>(code)];
    if (mode == TableMode::Repeat)
        return table.set;
    table.most_value_bits = 0;
    table.set = true;
    const Limits limits = limits_of(code);
    if (mode == TableMode::Predefined)
        return build(code, limits.usual);
    if (mode == TableMode::Rle) {
        SequenceState only{.base = 0, .next = static_cast<std::uint16_t>(table.first)};
        if (from.empty() || !describe(code, std::to_integer<unsigned>(from[0]), only))
            return false;
        states_[table.first] = only;
        table.log = 0;
        table.most_value_bits = only.value_bits;
        from = from.subspan(1);
        return true;
    }
    const auto counts = read_fse_counts(from, limits.symbols, limits.log);
    if (!counts)
        return false;
    from = from.subspan(counts->bytes);
    return build(code, *counts);
}

}  // namespace vmm::x86_64::zstd
