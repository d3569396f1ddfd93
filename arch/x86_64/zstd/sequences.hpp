// zstd's sequences: copy some literals, then repeat something from what was written before.
//
// Spec: RFC 8878, 3.1.1.3.2 (sequences section), 3.1.1.4 (execution), 3.1.1.5 (repeat offsets).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "x86_64/zstd/bit_reader.hpp"
#include "x86_64/zstd/fse.hpp"

namespace vmm::x86_64::zstd {

/// What one state of a sequence code says, and where it leads.
struct SequenceState {
    std::uint32_t base = 0;       ///< of the value
    std::uint16_t next = 0;       ///< of the next state
    std::uint8_t next_bits = 0;   ///< to be read and added to that
    std::uint8_t value_bits = 0;  ///< to be read and added to base
};

enum class SequenceCode : std::uint8_t { LiteralLength, Offset, MatchLength };

/// How a block describes its tables, 3.1.1.3.2.1.
enum class TableMode : std::uint8_t { Predefined, Rle, Fse, Repeat };

/// What is known of the decoding table of one code, valid until a block brings another.
struct SequenceTable {
    std::size_t first = 0;  ///< its first state
    unsigned log = 0;
    unsigned most_value_bits = 0;
    bool set = false;
};

/// The decoding tables of all three codes and the offsets that may be repeated. The states share
/// one array, and a state's number counts from its start: one register less in the loop.
class SequenceTables {
public:
    /// Takes the description off the front of `from`. False if it is wrong.
    bool read(SequenceCode code, TableMode mode, Bytes& from);

    const SequenceTable& operator[](SequenceCode code) const {
        return tables_[static_cast<std::size_t>(code)];
    }
    const SequenceState* states() const { return states_.data(); }

    std::uint32_t repeat1 = 1, repeat2 = 4, repeat3 = 8;  ///< the last one first

private:
    bool build(SequenceCode code, const FseCounts& counts);

    static constexpr std::size_t kMostStates = std::size_t{1} << kMostFseLog;

    std::array<SequenceState, 3 * kMostStates> states_{};
    std::array<FseState, kMostStates> scratch_{};
    std::array<SequenceTable, 3> tables_{SequenceTable{.first = 0},
                                         SequenceTable{.first = kMostStates},
                                         SequenceTable{.first = 2 * kMostStates}};
};

/// Bytes that may be read or written behind the end of literals and of a block.
inline constexpr std::size_t kSlack = 32;

struct SequenceInput {
    std::uint32_t count = 0;
    Bytes bits;      ///< eight bytes in front of it are readable
    Bytes literals;  ///< kSlack bytes behind it are readable
};

/// Where it goes: the whole output from its first byte, and how far it is.
struct SequenceOutput {
    std::byte* base = nullptr;
    std::size_t at = 0;     ///< the block's first byte
    std::size_t limit = 0;  ///< the block may not get longer than up to here
    std::size_t room = 0;   ///< bytes behind this are not written; what lies there is dropped
};

/// Executes all sequences and appends the literals that are left. Gives how far the output is then
/// (`room` when that is full), or zero if the data is wrong. Fastest when `limit` and kSlack bytes
/// more lie within `room`.
std::size_t run_sequences(SequenceTables& tables, const SequenceInput& input,
                          SequenceOutput output);

}  // namespace vmm::x86_64::zstd
