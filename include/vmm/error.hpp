// SPDX-License-Identifier: Apache-2.0
// Error values for everything the *host* can get wrong: files, ioctls, configuration.
//
// Three kinds of failure exist and only the first uses this header:
//   host failure   -> Result<T>, passed up with VMM_TRY, printed once, at the top
//   guest mistake  -> not an error: the device answers as its spec says and counts it
//   our own bug    -> VMM_ASSERT (vmm/assert.hpp), the process stops
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <source_location>
#include <string>
#include <utility>

namespace vmm {

/// What a caller may branch on; `cli` makes the exit code of it. Add a kind only when some caller
/// branches on it.
enum class ErrorKind : std::uint8_t {
    Os,           ///< a system call failed; os_error() holds errno. Exit code 1
    Config,       ///< what was asked for is wrong: flag, key, kernel or disk file. Exit code 2
    Unsupported,  ///< the host kernel or CPU lacks it. Exit code 1
};

/// A failure and the story of how it came up. One pointer wide, move only.
class [[nodiscard]] Error {
public:
    using Where = std::source_location;

    explicit Error(ErrorKind kind, std::string what, Where where = Where::current());

    /// `call` is the bare name of the system call (a literal, so that nothing runs between the
    /// call and the reading of errno); what it was about belongs into context().
    static Error os(const char* call, int errno_value, Where where = Where::current());

    /// Adds the caller's view: what *it* was doing. Say what the cause does not say already.
    Error context(std::string doing, Where where = Where::current()) &&;

    /// Says what the user can do about it: one sentence, an imperative. The last one wins.
    Error hint(std::string advice) &&;

    /// The same story under another kind: a missing file is Os to open(2) but Config to whoever
    /// was given its name. os_error() stays.
    Error as(ErrorKind kind) &&;

    ErrorKind kind() const noexcept;
    int os_error() const noexcept;  ///< errno of the system call at the bottom, or 0
    const std::string& advice() const noexcept;

    std::string one_line() const;            ///< "a: b: c", for a log record
    std::string report() const;              ///< for a user: one line, and the advice under it
    std::string report_with_places() const;  ///< one line per frame with its place, for `-v`

private:
    struct Story;
    struct Delete {
        void operator()(Story*) const noexcept;
    };
    std::unique_ptr<Story, Delete> story_;
};

template <class T = void>
using Result = std::expected<T, Error>;

}  // namespace vmm

// The value of `expr`, or return its error from this function (GCC 12 has no and_then).
// It stands alone: `auto x = VMM_TRY(f());` or `VMM_TRY(f());`. Never inside a braced
// initialiser, where GCC 12 leaks the members already built when the second one fails.
#define VMM_TRY(expr)                                              \
    __extension__({                                                \
        auto&& vmm_result = (expr);                                \
        if (!vmm_result) [[unlikely]]                              \
            return std::unexpected(std::move(vmm_result).error()); \
        *std::move(vmm_result);                                    \
    })

// The same, with one frame of context; the text is built only on failure.
#define VMM_TRY_OR(expr, text)                                                   \
    __extension__({                                                              \
        auto&& vmm_result = (expr);                                              \
        if (!vmm_result) [[unlikely]]                                            \
            return std::unexpected(std::move(vmm_result).error().context(text)); \
        *std::move(vmm_result);                                                  \
    })
