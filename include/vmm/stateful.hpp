// SPDX-License-Identifier: Apache-2.0
// Saving what a part of the machine knows, and restoring it into a part of the same make.
//
// The wire form is little endian, without padding, names or pointers: fields one after the other,
// in sections. A section begins with its version (16 bits) and its length (32 bits); a version says
// everything about what follows, so a new field is a new version. State may come from a file that
// somebody has edited: whoever restores checks each field before it believes it, and a reader hands
// out nothing beyond the end. A nonsense state is an error with a sentence, never a crash.
//
//     void Rtc::save(StateWriter& to) {
//         StateWriter::Section section{to, kVersion};
//         to.put(index_);
//     }
//     Result<> Rtc::restore(StateReader& from) {
//         StateReader state = VMM_TRY(from.section("clock", kVersion));
//         const auto index = state.get<std::uint8_t>("index", 127);   // at most
//         VMM_TRY(state.done());
//         index_ = index;                                             // only now
//         return {};
//     }
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error.hpp"

namespace vmm {

/// Collects state. Allocates.
class StateWriter {
public:
    /// From here to the end of its life; they nest.
    class Section {
    public:
        Section(StateWriter& to, std::uint16_t version);
        ~Section();
        Section(const Section&) = delete;
        Section& operator=(const Section&) = delete;

    private:
        StateWriter& to_;
        std::size_t start_;
    };

    template <std::unsigned_integral T>
    void put(T value) {
        for (std::size_t i = 0; i < sizeof value; ++i)
            bytes_.push_back(std::byte{static_cast<unsigned char>(std::uint64_t{value} >> 8 * i)});
    }
    void put(bool value) { put(static_cast<std::uint8_t>(value)); }
    /// Without their number: the version says it, or a field before them does.
    void put_bytes(std::span<const std::byte> bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }

    std::span<const std::byte> bytes() const noexcept { return bytes_; }
    std::vector<std::byte> take() noexcept { return std::move(bytes_); }

private:
    std::vector<std::byte> bytes_;
};

/// Reads what a StateWriter has written. The first thing that is wrong is remembered, and all
/// values from then on are zero: done() tells it, so that fields are read without a check each.
class StateReader {
public:
    /// `bytes` outlives the reader; `what` names the part in errors.
    StateReader(std::span<const std::byte> bytes, std::string_view what)
        : bytes_{bytes}, what_{what} {}

    /// The next section, which is passed over. An error if it is cut short, of a version that is
    /// not 1 to `newest`, or if something was wrong before it.
    Result<StateReader> section(std::string_view what, std::uint16_t newest);
    std::uint16_t version() const noexcept { return version_; }

    /// A number up to `most`; `field` names it in errors.
    template <std::unsigned_integral T>
    T get(std::string_view field, T most = std::numeric_limits<T>::max()) {
        const std::uint64_t value = take(sizeof(T));
        require(value <= most, field, "is out of range");
        return failed() ? T{0} : static_cast<T>(value);
    }
    bool get_flag(std::string_view field) { return get<std::uint8_t>(field, 1) != 0; }
    /// Fills `to`.
    void get_bytes(std::span<std::byte> to);

    /// Whatever else must be true: otherwise the state is refused, as "`field` `wrong`".
    void require(bool holds, std::string_view field, std::string_view wrong);

    bool failed() const noexcept { return !wrong_.empty(); }
    /// All was right, and nothing is left over.
    Result<> done() const;

private:
    std::uint64_t take(std::size_t bytes) noexcept;
    std::span<const std::byte> take_span(std::size_t bytes) noexcept;

    std::span<const std::byte> bytes_;
    std::string what_;
    std::uint16_t version_ = 0;
    std::string wrong_;  // empty: nothing yet
};

/// The second half of a restore(): the state was found right, and this makes it true. A part that
/// consists of parts first reads all of them, so that it changes as a whole or not at all.
using ApplyState = std::move_only_function<void() noexcept>;

/// A part of the machine that can be saved and restored.
///
/// Threads: no vCPU runs, and devices with queues are paused (or have no driver). The part takes
/// its own lock. Errors: of restore(), in a sentence; the part is then as it was before.
class Stateful {
public:
    virtual ~Stateful() = default;
    virtual void save(StateWriter& to) = 0;
    /// Into a part that was made as the saved one was: what a configuration decides is compared,
    /// not restored.
    virtual Result<> restore(StateReader& from) = 0;
};

}  // namespace vmm
