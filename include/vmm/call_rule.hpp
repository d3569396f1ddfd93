// SPDX-License-Identifier: Apache-2.0
// What threads may ask of the kernel, as tables that a person can review: src/sandbox/rules.cpp has
// what any Linux program calls, hv/kvm/call_rules.cpp what KVM is asked for.
//
// src/sandbox/compile_filters.cpp turns them into BPF when vmm is built, so nothing of this is in
// the program; names of system calls are looked up for the architecture that is built for.
// Spec: seccomp(2).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/thread.hpp"

namespace vmm::calls {

/// Kinds of threads, as a set.
class Threads {
public:
    // NOLINTNEXTLINE(google-explicit-constructor): a kind is a set of one
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

inline constexpr Threads kMain{ThreadKind::Main};
inline constexpr Threads kVcpu{ThreadKind::Vcpu};
inline constexpr Threads kBlock{ThreadKind::BlockIo};
inline constexpr Threads kNet{ThreadKind::NetIo};
inline constexpr Threads kPool{ThreadKind::BlockPool};
inline constexpr Threads kHelper{ThreadKind::Helper};
inline constexpr Threads kIo = kBlock | kNet | ThreadKind::EntropyIo | ThreadKind::ConsoleIo;
inline constexpr Threads kAll = kMain | kVcpu | kIo | kPool | kHelper;

/// Those that the main thread makes while the guest runs. They have its filter besides their own,
/// so it allows what any of them may do. vCPUs are older than its filter.
inline constexpr Threads kMadeByMain = kIo | kPool | kHelper;

/// (argument & mask) == value. Arguments count from 0. Bits outside of the mask may be anything: of
/// an `int` the kernel takes the lower half only.
struct Condition {
    std::uint8_t argument = 0;
    std::uint64_t mask = 0;  ///< 0: there is no condition
    std::uint64_t value = 0;
};

/// As an `unsigned`.
constexpr Condition is(std::uint8_t argument, std::uint32_t value) {
    return {argument, 0xffff'ffff, value};
}
constexpr Condition lacks(std::uint8_t argument, std::uint32_t bits) {
    return {argument, bits, 0};
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
    /// The filter of vCPUs looks at it before all others: it is asked for at each exit. With one
    /// condition, which is().
    bool each_exit = false;
};

constexpr bool is_for(const Rule& rule, ThreadKind kind) {
    return rule.threads.contains(kind) ||
           (kind == ThreadKind::Main && rule.threads.meets(kMadeByMain));
}

constexpr Rule ioctl(std::uint32_t request, Threads threads, std::string_view why) {
    return {.call = "ioctl", .threads = threads, .why = why, .conditions = {is(1, request)}};
}

// ---- the tables

std::span<const Rule> common_rules();
std::span<const Rule> kvm_rules();
/// hv/kvm/<architecture>/call_rules.cpp, of the one that is built for.
std::span<const Rule> kvm_architecture_rules();
/// What a build with a sanitizer needs besides; empty in any other.
std::span<const Rule> sanitizer_rules();

inline std::array<std::span<const Rule>, 4> all_tables() {
    return {common_rules(), kvm_rules(), kvm_architecture_rules(), sanitizer_rules()};
}

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

}  // namespace vmm::calls
