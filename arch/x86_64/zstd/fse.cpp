#include "x86_64/zstd/fse.hpp"

namespace vmm::x86_64::zstd {
namespace {

/// One count: values below a threshold take one bit less. `remaining` is what is left to give out,
/// plus one.
int read_count(ForwardBits& bits, unsigned remaining) {
    const auto width = static_cast<unsigned>(std::bit_width(remaining));
    const unsigned spare = (1U << width) - 1 - remaining;
    const unsigned low = bits.peek(width - 1);
    if (low < spare) {
        bits.skip(width - 1);
        return static_cast<int>(low) - 1;
    }
    const unsigned high = bits.read(width);
    const unsigned half = 1U << (width - 1);
    return static_cast<int>(high >= half ? high - spare : high) - 1;
}

/// After a zero: two bits at a time say how many more zeros follow; 3 goes on.
unsigned read_zeros(ForwardBits& bits) {
    unsigned zeros = 0;
    unsigned more = 3;
    while (more == 3 && !bits.overrun()) {
        more = bits.read(2);
        zeros += more;
    }
    return zeros;
}

}  // namespace

std::optional<FseCounts> read_fse_counts(Bytes from, unsigned most_symbols, unsigned most_log) {
    ForwardBits bits{from};
    FseCounts counts;
    counts.log = bits.read(4) + 5;
    if (counts.log > most_log)
        return std::nullopt;
    unsigned remaining = 1U << counts.log;
    while (remaining > 0 && counts.symbols < most_symbols) {
        const int count = read_count(bits, remaining + 1);
        const unsigned taken = count < 0 ? 1U : static_cast<unsigned>(count);
        if (taken > remaining || bits.overrun())
            return std::nullopt;
        remaining -= taken;
        counts.count[counts.symbols++] = static_cast<std::int16_t>(count);
        if (count == 0)
            counts.symbols += read_zeros(bits);
        if (counts.symbols > most_symbols)
            return std::nullopt;
    }
    if (remaining != 0 || bits.overrun())
        return std::nullopt;
    counts.bytes = bits.bytes_used();
    return counts;
}

void build_fse_table(const FseCounts& counts, std::span<FseState> table) {
    const unsigned size = 1U << counts.log;
    const unsigned mask = size - 1;
    const unsigned step = (size >> 1) + (size >> 3) + 3;
    FseState* const states = table.first(size).data();
    std::array<std::uint16_t, kMostFseSymbols> next;
    unsigned high = size;  // symbols of "less than one" get a state each from the top down
    for (unsigned symbol = 0; symbol < counts.symbols; ++symbol) {
        const int count = counts.count[symbol];
        next[symbol] = count < 0 ? std::uint16_t{1} : static_cast<std::uint16_t>(count);
        if (count < 0)
            states[--high].symbol = static_cast<std::uint8_t>(symbol);
    }
    unsigned at = 0;
    for (unsigned symbol = 0; symbol < counts.symbols; ++symbol)
        for (int i = counts.count[symbol]; i > 0; --i) {
            states[at].symbol = static_cast<std::uint8_t>(symbol);
            do
                at = (at + step) & mask;
            while (at >= high);
        }
    for (unsigned i = 0; i < size; ++i) {
        const unsigned order = next.data()[states[i].symbol]++;
        const unsigned bits = counts.log + 1 - static_cast<unsigned>(std::bit_width(order));
        states[i].bits = static_cast<std::uint8_t>(bits);
        states[i].next = static_cast<std::uint16_t>((order << bits) - size);
    }
}

}  // namespace vmm::x86_64::zstd
