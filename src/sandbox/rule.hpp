// SPDX-License-Identifier: Apache-2.0
// What a thread may ask of the kernel, as a table that a person can review: rules.cpp has it.
//
// compile_filters.cpp turns it into BPF when vmm is built, so nothing of this is in the program;
// names of system calls are looked up for the architecture that is built for.
// Spec: seccomp(2).
#pragma once

#include <linux/ioctl.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/thread.hpp"

namespace vmm::sandbox {

/// Kinds of threads, as a set.
class Threads {
public:
    constexpr Threads(ThreadKind kind) : bits_{bit(kind)} {}
    constexpr bool contains(ThreadKind kind) const { return (bits_ & bit(kind)) != 0; }
    constexpr bool meets(Threads others) const { return (bits_ & others.bits_) != 0; }
    friend constexpr Threads operator|(Threads a, Threads b) {
        a.bits_ |= b.bits_;
        return a;
    }

private:
    static constexpr std::uint32_t bit(ThreadKind kind) {
        return 1u << static_cast<unsigned>(kind);
    }

    std::uint32_t bits_;
};

/// Those that the main thread makes while the guest runs. They have its filter besides their own,
/// so it allows what any of them may do. vCPUs are older than its filter.
inline constexpr Threads kMadeByMain = Threads{ThreadKind::BlockIo} | ThreadKind::NetIo |
                                       ThreadKind::EntropyIo | ThreadKind::ConsoleIo |
                                       ThreadKind::BlockPool | ThreadKind::Helper;

/// (argument & mask) == value. Arguments count from 0. Whatever is not below the mask is not looked
/// at: of an `int` the kernel takes the lower half only.
struct Condition {
    std::uint8_t argument = 0;
    std::uint64_t mask = 0;  ///< 0: there is no condition
    std::uint64_t value = 0;

    constexpr bool holds(std::uint64_t given) const { return (given & mask) == value; }
};

/// As an `unsigned`.
constexpr Condition is(std::uint8_t argument, std::uint32_t value) {
    return {argument, 0xffff'ffff, value};
}
constexpr Condition lacks(std::uint8_t argument, std::uint32_t bits) {
    return {argument, bits, 0};
}

/// A request of ioctl(2) with the size that C gives its structure: where one ends in a list of
/// variable length, Linux headers before 6.7 have another size for C++.
constexpr std::uint32_t sized(std::uint32_t request, std::uint32_t size) {
    constexpr std::uint32_t kSizeField = _IOC_SIZEMASK << _IOC_SIZESHIFT;
    return (request & ~kSizeField) | (size << _IOC_SIZESHIFT);
}

/// Stands for the number of the own process, which is known when a filter is loaded.
inline constexpr std::uint32_t kOwnProcess = 0x7afe'50fa;

enum class Answer : std::uint8_t {
    Allow,
    NotThere,   ///< ENOSYS: the C library has another way
    Forbidden,  ///< EPERM: the caller has another way
};

enum class Where : std::uint8_t {
    Everywhere,
    NotOnArm,  ///< aarch64 has only the newer call that does the same
};

/// One system call, with all of the conditions. Several rules of one call: any of them.
struct Rule {
    std::string_view call;
    Threads threads;
    std::string_view why;
    std::array<Condition, 2> conditions{};
    Answer answer = Answer::Allow;
    Where where = Where::Everywhere;
};

constexpr bool is_for(const Rule& rule, ThreadKind kind) {
    return rule.threads.contains(kind) ||
           (kind == ThreadKind::Main && rule.threads.meets(kMadeByMain));
}

std::span<const Rule> common_rules();
/// Those of the architecture that is built for: <architecture>/rules.cpp.
std::span<const Rule> architecture_rules();
/// What a build with a sanitizer needs besides; empty in any other.
std::span<const Rule> sanitizer_rules();

struct Confined {
    ThreadKind kind;
    std::string_view name;
};
/// Kinds of threads that have a filter.
inline constexpr auto kConfined = std::array{
    Confined{ThreadKind::Main, "Main"},           Confined{ThreadKind::Vcpu, "Vcpu"},
    Confined{ThreadKind::BlockIo, "BlockIo"},     Confined{ThreadKind::NetIo, "NetIo"},
    Confined{ThreadKind::EntropyIo, "EntropyIo"}, Confined{ThreadKind::ConsoleIo, "ConsoleIo"},
    Confined{ThreadKind::BlockPool, "BlockPool"}, Confined{ThreadKind::Helper, "Helper"},
};

}  // namespace vmm::sandbox
