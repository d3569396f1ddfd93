#include "x86_64/zstd/huffman.hpp"

#include <algorithm>
#include <utility>

#include "x86_64/zstd/fse.hpp"

namespace vmm::x86_64::zstd {
namespace {

constexpr unsigned kMostWeightLog = 6;
constexpr unsigned kMostWeight = kMostHuffmanBits + 1;

/// Weights of four bits each.
std::optional<unsigned> read_plain_weights(Bytes from, unsigned count,
                                           std::span<std::uint8_t, 256> weights) {
    if (from.size() < (count + 1) / 2)
        return std::nullopt;
    for (unsigned i = 0; i < count; ++i) {
        const auto pair = std::to_integer<unsigned>(from[i / 2]);
        weights[i] = static_cast<std::uint8_t>(i % 2 == 0 ? pair >> 4 : pair & 15);
    }
    return count;
}

/// Weights coded by FSE: two states take turns until the bits run out.
std::optional<unsigned> read_coded_weights(Bytes from, std::span<std::uint8_t, 256> weights) {
    const auto counts = read_fse_counts(from, kMostWeight + 1, kMostWeightLog);
    if (!counts || counts->bytes >= from.size())
        return std::nullopt;
    std::array<FseState, 1U << kMostWeightLog> table{};
    build_fse_table(*counts, table);
    BackwardBits bits;
    if (!bits.open(from.subspan(counts->bytes)))
        return std::nullopt;
    if (!bits.refill())
        return std::nullopt;
    std::array<unsigned, 2> state{};
    state[0] = static_cast<unsigned>(bits.read(counts->log));
    state[1] = static_cast<unsigned>(bits.read(counts->log));
    if (bits.unread() < 0)
        return std::nullopt;
    for (unsigned i = 0; i < 254; ++i) {
        const FseState& now = table[state[i % 2]];
        weights[i] = now.symbol;
        if (bits.unread() < std::ptrdiff_t{now.bits}) {
            weights[i + 1] = table[state[(i + 1) % 2]].symbol;
            return i + 2;
        }
        if (!bits.refill())
            return std::nullopt;
        state[i % 2] = now.next + static_cast<unsigned>(bits.read(now.bits));
    }
    return std::nullopt;
}

/// A stream's reader in its fastest form: unread bits at the top, and one set bit behind those that
/// one load gives, so that its place tells how many were taken.
class Stream {
public:
    static constexpr unsigned kPerLoad = 5;  // symbols of 11 bits that one load is good for
    static_assert(kPerLoad * kMostHuffmanBits + 7 < 63);

    bool open(Bytes from) {
        if (from.empty() || from.back() == std::byte{0})
            return false;
        begin_ = from.data();
        at_ = from.data() + from.size() - 8;
        const std::uint64_t word = load64(at_);
        bits_ = (word | 1) << (std::countl_zero(word) + 1);
        return true;
    }
    __attribute__((always_inline)) std::byte next(const std::uint16_t* entries) {
        const std::uint16_t entry = entries[bits_ >> (64 - kMostHuffmanBits)];
        bits_ <<= entry & 63;
        return static_cast<std::byte>(entry >> 8);
    }
    __attribute__((always_inline)) void refill() {
        const auto taken = static_cast<unsigned>(std::countr_zero(bits_));
        at_ -= taken / 8;
        bits_ = (load64(at_) | 1) << (taken % 8);
    }
    /// One more load stays within what may be read.
    __attribute__((always_inline)) bool may_refill() const { return at_ >= begin_; }
    bool finished() const {
        return (at_ - begin_) * 8 + 64 == std::ptrdiff_t{std::countr_zero(bits_)};
    }
    bool overrun() const {
        return (at_ - begin_) * 8 + 64 < std::ptrdiff_t{std::countr_zero(bits_)};
    }

private:
    const std::byte* begin_ = nullptr;
    const std::byte* at_ = nullptr;
    std::uint64_t bits_ = 0;
};

/// The end of a stream: one symbol at a time, with a look at the end after each.
bool finish(Stream& stream, const std::uint16_t* entries, std::span<std::byte> to) {
    if (stream.overrun())
        return false;
    for (std::byte& symbol : to) {
        stream.refill();
        symbol = stream.next(entries);
        if (stream.overrun())
            return false;
    }
    return stream.finished();
}

struct FourStreams {
    std::array<Stream, 4> stream;
    std::array<std::byte*, 4> to;
    std::size_t common = 0;  ///< symbols that every stream has
};

/// As far as five symbols of each stream can be taken without looking. Gives how many were taken.
__attribute__((always_inline)) inline std::size_t run_streams(FourStreams& four,
                                                              const std::uint16_t* entries) {
    Stream a = four.stream[0];
    Stream b = four.stream[1];
    Stream c = four.stream[2];
    Stream d = four.stream[3];
    std::size_t i = 0;
    for (; i + Stream::kPerLoad <= four.common && a.may_refill() && b.may_refill() &&
           c.may_refill() && d.may_refill();
         i += Stream::kPerLoad) {
        a.refill();
        b.refill();
        c.refill();
        d.refill();
#pragma GCC unroll 5
        for (std::size_t k = i; k < i + Stream::kPerLoad; ++k) {
            four.to[0][k] = a.next(entries);
            four.to[1][k] = b.next(entries);
            four.to[2][k] = c.next(entries);
            four.to[3][k] = d.next(entries);
        }
    }
    four.stream = {a, b, c, d};
    return i;
}

__attribute__((target("bmi,bmi2"))) std::size_t run_streams_bmi2(FourStreams& four,
                                                                 const std::uint16_t* entries) {
    return run_streams(four, entries);
}

std::size_t run_streams_plain(FourStreams& four, const std::uint16_t* entries) {
    return run_streams(four, entries);
}

}  // namespace

std::optional<std::size_t> HuffmanTable::read(Bytes from) {
    if (from.empty())
        return std::nullopt;
    Weights weights{};
    const auto header = std::to_integer<unsigned>(from[0]);
    const std::size_t length = header >= 128 ? (header - 127 + 1) / 2 : header;
    if (length > from.size() - 1)
        return std::nullopt;
    const Bytes description = from.subspan(1, length);
    const auto count = header >= 128 ? read_plain_weights(description, header - 127, weights)
                                     : read_coded_weights(description, weights);
    if (!count || *count > 255 || !fill(weights, *count))
        return std::nullopt;
    set_ = true;
    return length + 1;
}

/// The last weight is not written: it fills the sum up to a power of two.
bool HuffmanTable::fill(Weights& weights, unsigned count) {
    std::uint32_t sum = 0;
    for (unsigned i = 0; i < count; ++i) {
        if (weights[i] > kMostWeight)
            return false;
        sum += weights[i] == 0 ? 0 : 1U << (weights[i] - 1);
    }
    if (sum == 0)
        return false;
    const auto log = static_cast<unsigned>(std::bit_width(sum));
    const std::uint32_t rest = (1U << log) - sum;
    if (log > kMostHuffmanBits || !std::has_single_bit(rest))
        return false;
    weights[count++] = static_cast<std::uint8_t>(std::bit_width(rest));
    // Codes in ascending order of weight, then of symbol; spread to tables of 11 bits.
    std::array<std::size_t, kMostWeight + 1> start{};
    for (unsigned i = 0; i < count; ++i)
        start[weights[i]] +=
            weights[i] == 0 ? 0 : std::size_t{1} << (weights[i] - 1 + kMostHuffmanBits - log);
    std::size_t at = 0;
    for (std::size_t& first : start)
        at += std::exchange(first, at);
    if (at != entries_.size())
        return false;
    for (unsigned symbol = 0; symbol < count; ++symbol) {
        const unsigned weight = weights[symbol];
        if (weight == 0)
            continue;
        const std::size_t length = std::size_t{1} << (weight - 1 + kMostHuffmanBits - log);
        std::fill_n(entries_.data() + start[weight], length,
                    static_cast<std::uint16_t>(symbol << 8 | (log + 1 - weight)));
        start[weight] += length;
    }
    return true;
}

bool HuffmanTable::decode(Bytes from, std::span<std::byte> to) const {
    Stream stream;
    return stream.open(from) && finish(stream, entries_.data(), to);
}

bool HuffmanTable::decode4(Bytes from, std::span<std::byte> to) const {
    constexpr std::size_t kJumpTable = 6;
    const std::size_t each = (to.size() + 3) / 4;
    if (from.size() < kJumpTable || to.size() < 3 * each)
        return false;
    FourStreams four;
    four.common = to.size() - 3 * each;
    Bytes rest = from.subspan(kJumpTable);
    for (std::size_t i = 0; i < 4; ++i) {
        std::size_t length = rest.size();
        if (i < 3)
            length = std::to_integer<std::size_t>(from[2 * i]) |
                     std::to_integer<std::size_t>(from[2 * i + 1]) << 8;
        if (length > rest.size() || !four.stream[i].open(rest.first(length)))
            return false;
        rest = rest.subspan(length);
        four.to[i] = to.data() + i * each;
    }
    const std::size_t done = __builtin_cpu_supports("bmi2") != 0
                                 ? run_streams_bmi2(four, entries_.data())
                                 : run_streams_plain(four, entries_.data());
    for (std::size_t i = 0; i < 4; ++i) {
        const std::size_t size = i < 3 ? each : four.common;
        if (!finish(four.stream[i], entries_.data(), {four.to[i] + done, size - done}))
            return false;
    }
    return true;
}

}  // namespace vmm::x86_64::zstd
