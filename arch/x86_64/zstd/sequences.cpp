#include "x86_64/zstd/sequences.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

// The innermost loop of start-up: a kernel has some four million sequences. The compiler makes it
// twice, with and without BMI2 (shifts and masks by a variable count in one instruction each).

#define VMM_INLINE __attribute__((always_inline)) inline

namespace vmm::x86_64::zstd {
namespace {

VMM_INLINE void copy16(std::byte* to, const std::byte* from) {
    std::memcpy(to, from, 16);
}
VMM_INLINE void copy8(std::byte* to, const std::byte* from) {
    std::memcpy(to, from, 8);
}

/// Up to 15 bytes too many. The ranges are at least 16 bytes apart.
VMM_INLINE void copy_far(std::byte* to, const std::byte* from, std::size_t length) {
    copy16(to, from);
    for (std::size_t done = 16; done < length; done += 16)
        [[unlikely]] copy16(to + done, from + done);
}

/// A match that runs into itself: the last `offset` (1 to 15) bytes over and over.
struct CopyNear {
    VMM_INLINE static void run(std::byte* to, std::size_t offset, std::size_t length) {
        const std::byte* from = to - offset;
        std::size_t done = 0;
        if (offset < 8) {
            for (; done < 8; ++done)
                to[done] = from[done];
            from = to - (8 + offset - 1) / offset * offset;  // a whole number of periods, 8 or more
        }
        for (; done < length; done += 8)
            copy8(to + done, from + done);
    }
};

/// For each offset: which byte of the period comes next, 16 times.
constexpr auto kPeriods = [] {
    std::array<std::array<char, 16>, 16> periods{};
    for (std::size_t offset = 1; offset < 16; ++offset)
        for (std::size_t i = 0; i < 16; ++i)
            periods[offset][i] = static_cast<char>(i % offset);
    return periods;
}();

/// The same with one instruction that spreads a period over 16 bytes (SSSE3).
struct CopyNearBySpreading {
    using Vector = char __attribute__((vector_size(16)));

    VMM_INLINE static void run(std::byte* to, std::size_t offset, std::size_t length) {
        Vector period{};
        Vector order{};
        std::memcpy(&period, to - offset, sizeof period);
        std::memcpy(&order, kPeriods[offset].data(), sizeof order);
        // Not the builtin: a function for all processors may not be inlined around it.
        asm("pshufb %1, %0" : "+x"(period) : "x"(order));
        std::memcpy(to, &period, sizeof period);
        if (length <= sizeof period) [[likely]]
            return;
        const std::size_t whole = 16 - 16 % offset;  // bytes until the period starts again
        for (std::size_t done = whole; done < length; done += whole)
            std::memcpy(to + done, &period, sizeof period);
    }
};

/// Bits that the next three states may take: 9 + 9 + 8.
constexpr unsigned kStateBits = 26;
/// What one refill is good for.
constexpr unsigned kRefillBits = 56;

/// The offsets that may be repeated.
struct Repeats {
    std::uint32_t last, second, third;

    VMM_INLINE void push(std::uint32_t offset) {
        third = second;
        second = last;
        last = offset;
    }

    /// Values 1 to 3, one more without literals: one of the last offsets, which moves to the front.
    /// 3.1.1.5.
    VMM_INLINE std::uint32_t take(std::size_t value) {
        if (value == 1) [[likely]]
            return last;
        if (value == 2) {
            std::swap(last, second);
            return last;
        }
        // An offset of zero is wrong; the largest one reaches too far back, which will be noticed.
        push(value == 3 ? third : last == 1 ? ~std::uint32_t{0} : last - 1);
        return last;
    }
};

struct Lengths {
    std::size_t literals, match;
};

/// Copies in steps of 16 bytes; kSlack bytes behind the limit take what is too much.
template <class Near>
struct Execute {
    static constexpr bool kMayFill = false;

    VMM_INLINE static std::byte* run(std::byte* to, const std::byte* literals, Lengths lengths,
                                     std::uint32_t offset, const std::byte*) {
        copy_far(to, literals, lengths.literals);
        to += lengths.literals;
        if (offset >= 16) [[likely]]
            copy_far(to, to - offset, lengths.match);
        else
            Near::run(to, offset, lengths.match);
        return to + lengths.match;
    }
};

/// The same where the end of the output is near: not a byte too many.
struct ExecuteWithCare {
    static constexpr bool kMayFill = true;

    static std::byte* run(std::byte* to, const std::byte* literals, Lengths lengths,
                          std::uint32_t offset, const std::byte* end) {
        to = append(to, literals, lengths.literals, end);
        return append(to, to - offset, lengths.match, end);
    }

    /// Byte by byte, because a match may run into itself.
    static std::byte* append(std::byte* to, const std::byte* from, std::size_t length,
                             const std::byte* end) {
        length = std::min(length, static_cast<std::size_t>(end - to));
        for (std::size_t i = 0; i < length; ++i)
            to[i] = from[i];
        return to + length;
    }
};

/// Literals that are left go behind the last sequence.
std::size_t append_literals(const std::byte* literal, const std::byte* end, SequenceOutput output) {
    const auto rest = static_cast<std::size_t>(end - literal);
    if (rest > output.limit - output.at)
        return 0;
    const std::size_t fits = std::min(rest, output.room - output.at);
    std::memcpy(output.base + output.at, literal, fits);
    return output.at + fits;
}

template <bool LongValues, class How>
VMM_INLINE std::size_t run(SequenceTables& tables, const SequenceInput& input,
                           SequenceOutput output) {
    using enum SequenceCode;
    BackwardBits bits;
    if (!bits.open(input.bits) || !bits.refill())
        return 0;
    const SequenceState* const states = tables.states();
    std::size_t literal_state = tables[LiteralLength].first + bits.read(tables[LiteralLength].log);
    std::size_t offset_state = tables[Offset].first + bits.read(tables[Offset].log);
    std::size_t match_state = tables[MatchLength].first + bits.read(tables[MatchLength].log);
    Repeats repeats{tables.repeat1, tables.repeat2, tables.repeat3};
    const std::byte* literal = input.literals.data();
    const std::byte* const literals_end = literal + input.literals.size();
    std::byte* to = output.base + output.at;
    const std::byte* const limit = output.base + output.limit;
    const std::byte* const end = output.base + output.room;

    for (std::uint32_t left = input.count;;) {
        if (!bits.refill()) [[unlikely]]
            return 0;
        const SequenceState& o = states[offset_state];
        const SequenceState& m = states[match_state];
        const SequenceState& l = states[literal_state];
        auto offset = o.base + static_cast<std::uint32_t>(bits.read(o.value_bits));
        if (LongValues && !bits.refill())
            return 0;
        const std::size_t match_length = m.base + bits.read(m.value_bits);
        const std::size_t literal_length = l.base + bits.read(l.value_bits);
        if (o.value_bits > 1)
            repeats.push(offset);
        else
            offset = repeats.take(std::size_t{offset} + (literal_length == 0 ? 1 : 0));

        const std::byte* const match = to + literal_length;
        if (literal + literal_length > literals_end || match + match_length > limit ||
            match - offset < output.base) [[unlikely]]
            return 0;
        to = How::run(to, literal, {literal_length, match_length}, offset, end);
        literal += literal_length;
        if (How::kMayFill && to == end)
            return output.room;
        if (--left == 0)
            break;
        if (bits.left() < kStateBits && !bits.refill()) [[unlikely]]
            return 0;
        literal_state = l.next + bits.read(l.next_bits);  // in this order, 3.1.1.3.2.1.2
        match_state = m.next + bits.read(m.next_bits);
        offset_state = o.next + bits.read(o.next_bits);
    }
    if (bits.unread() != 0)
        return 0;
    tables.repeat1 = repeats.last;
    tables.repeat2 = repeats.second;
    tables.repeat3 = repeats.third;
    output.at = static_cast<std::size_t>(to - output.base);
    return append_literals(literal, literals_end, output);
}

__attribute__((target("bmi,bmi2,ssse3"))) std::size_t run_bmi2(SequenceTables& tables,
                                                               const SequenceInput& input,
                                                               SequenceOutput output) {
    return run<false, Execute<CopyNearBySpreading>>(tables, input, output);
}

std::size_t run_plain(SequenceTables& tables, const SequenceInput& input, SequenceOutput output) {
    return run<false, Execute<CopyNear>>(tables, input, output);
}

std::size_t run_with_care(SequenceTables& tables, const SequenceInput& input,
                          SequenceOutput output) {
    return run<true, ExecuteWithCare>(tables, input, output);
}

}  // namespace

std::size_t run_sequences(SequenceTables& tables, const SequenceInput& input,
                          SequenceOutput output) {
    if (input.count == 0)
        return append_literals(input.literals.data(), input.literals.data() + input.literals.size(),
                               output);
    unsigned most_bits = 0;
    for (const auto code :
         {SequenceCode::LiteralLength, SequenceCode::Offset, SequenceCode::MatchLength})
        most_bits += tables[code].most_value_bits;
    if (output.limit + kSlack > output.room || most_bits > kRefillBits)
        return run_with_care(tables, input, output);
    const bool bmi2 = __builtin_cpu_supports("bmi2") != 0 && __builtin_cpu_supports("ssse3") != 0;
    return bmi2 ? run_bmi2(tables, input, output) : run_plain(tables, input, output);
}

}  // namespace vmm::x86_64::zstd
