// SPDX-License-Identifier: Apache-2.0
// What a case works with: one device, its rings, buffers, and ways to say what must have happened.
//
// A case breaks one rule of the specification and says what it expects at once. Whatever that was,
// the judge (main.cpp) then wants the device back after a reset, with a good request answered.
#pragma once

#include "virtio.hpp"

namespace guest {

/// From here on there is RAM that nothing else uses.
inline constexpr u64 kSpareRam = kRamStart + 0x1000'0000;

/// Memory that requests are made of; no case needs more.
struct Buffers {
    alignas(4096) volatile u8 header[4096];
    alignas(4096) volatile u8 data[0x20000];
    alignas(4096) volatile u8 table[0x8000];  // an indirect table
    alignas(4096) volatile u8 other[4096];
};
extern Buffers buffers;

/// A kind of device: all that the common cases have to know of it. kinds.cpp has the table.
struct Kind {
    const char* name;
    u16 type;               ///< virtio 1.3, chapter 5
    u16 number = 0;         ///< which one of this type
    bool own_only = false;  ///< runs only the cases that are its own
    bool streams = false;   ///< takes gigabytes if it is given them, for as long as that takes
    u64 features;           ///< of its own feature bits, those that are accepted if offered
    u64 needed = 0;         ///< of these, those that its good request cannot do without
    u16 queues;             ///< how many are set up, from number 0 on
    u16 queue;              ///< the one that cases break
    u16 data;               ///< which descriptor of a good request holds the bulk
    void (*request)(Chain& chain);       ///< makes a good one, linked
    bool (*answered)(const Used& used);  ///< it was answered as it must be
};

class Lab {
public:
    const Kind* kind = nullptr;
    RingKind ring_kind = RingKind::Split;
    Ram ram;
    Virtio device;

    /// The device is there. Its rings are those from number `first_ring` on.
    bool open(const Kind& of, const Ram& memory, unsigned first_ring = 0);
    /// Puts back what belongs to the function and not to the device: BAR, command, MSI-X.
    void tidy();

    bool packed() const { return ring_kind == RingKind::Packed; }
    /// The queue that is broken: the kind's, after up() and works(), or another one.
    u16 queue() const { return queue_; }
    void use(u16 queue) { queue_ = queue; }
    Ring& ring() { return rings_[queue_]; }
    Ring& ring(u16 of) { return rings_[of]; }

    // How far a driver goes. Each fails the case if the device does not follow.

    u64 features() const;
    /// To FEATURES_OK, with these features in place of features().
    bool negotiate(u64 with);
    /// From reset to DRIVER_OK, queues enabled.
    bool up() { return up_with(features()); }
    bool up_with(u64 with);

    // Requests.

    Chain request();
    void submit(const Chain& chain);
    void kick() { device.kick(queue()); }
    enum class Kicks : u8 { One, Each };
    /// Copies of a chain, in places of their own, until the ring is full; gives how many.
    unsigned fill(const Chain& chain, Kicks kicks);
    /// Another one in the place of each that came back.
    void fill_again(const Chain& chain);
    /// A good request is answered; of the ring as it stands.
    bool works();
    /// That was so, and nothing was asked of the lab since.
    bool alive() const { return alive_; }

    // Verdicts. Those that return false have failed the case.

    bool fail(const char* reason);
    bool fail(const char* reason, u64 with);
    /// Fails with `reason` if `good` does not hold.
    bool expect(bool good, const char* reason) {
        alive_ = false;
        return good || fail(reason);
    }
    bool expect(u64 is, u64 should_be, const char* what);
    /// The next buffer comes back used; in `last`.
    bool expect_used();
    bool expect_used(u32 length);
    bool expect_needs_reset();
    /// One of the two: the rule that was broken leaves the choice to the device.
    bool expect_used_or_reset();

    Used last;
    const char* why = nullptr;
    u64 number = 0;
    bool has_number = false;
    bool busy = false;  ///< the device has work that only a reset ends

private:
    void put(const Chain& chain, u16 id);
    enum class Answer : u8 { Used, NeedsReset, None };
    Answer await();

    u64 offered_ = 0;
    u32 bar_ = 0;
    u32 port_bar_ = 0;
    u16 queue_ = 0;
    bool alive_ = false;
    Ring rings_[RingMemory::kMostRings];
};

/// With the ring's interrupts on entry 1 of the table and MSI-X on, whatever the table says now, a
/// proper message gets through: each time another vector, and there are not so many of them.
void messages_still_come(Lab& lab);

// Who may run a case.
inline constexpr u8 kNoRing = 0;  // registers only
inline constexpr u8 kSplit = 1;
inline constexpr u8 kPacked = 2;
inline constexpr u8 kBoth = kSplit | kPacked;

/// One breach. It is called row<row>.<kind>.<ring>.<name>; README.md says what rows are.
struct Case {
    unsigned row;
    const char* name;
    u8 rings;
    const char* only;  ///< a kind's name; null: every kind
    void (*run)(Lab& lab);
};

struct Cases {
    const Case* first;
    unsigned count;
};
template <unsigned Count>
constexpr Cases cases(const Case (&of)[Count]) {
    return {of, Count};
}

/// A breach that is no virtio device's: called row<row>.pc.<name>. Gives what went wrong, or null.
struct PlatformCase {
    unsigned row;
    const char* name;
    const char* (*run)();
};
struct PlatformCases {
    const PlatformCase* first;
    unsigned count;
};
template <unsigned Count>
constexpr PlatformCases cases(const PlatformCase (&of)[Count]) {
    return {of, Count};
}

struct Kinds {
    const Kind* first;
    unsigned count;
};
Kinds all_kinds();

/// Every device there is answers a good request. They take turns with the same memory.
/// Gives what went wrong, or null.
const char* all_work(const Ram& ram);

// The machine is reset while devices are at work, again and again: number 1 to reset_count(). How
// many there were so far is on the disk, as nothing else outlives them.
unsigned reset_count();
/// What the disk says; the name of that reset, and what is wrong after it, or null.
struct ResetVerdict {
    unsigned number = 0;
    unsigned row = 0;
    const char* ring = "";
    const char* name = "";
    const char* why = nullptr;
};
ResetVerdict after_reset(const Ram& ram);
/// Does the next one.
[[noreturn]] void reset_machine(const Ram& ram, unsigned number);

/// Fills the first disk's ring with the largest requests of the kind `name`, for the host to stop;
/// comes back if it cannot.
void run_largest(const Ram& ram, const char* name);

// One for each file of cases.
Cases chain_cases();
Cases indirect_cases();
Cases ring_cases();
Cases place_cases();
Cases queue_cases();
Cases status_cases();
Cases register_cases();
Cases board_cases();  // of what the architecture has or does
Cases message_cases();
Cases function_cases();
Cases block_cases();
Cases format_cases();
Cases largest_cases();
Cases net_cases();
Cases stream_cases();
Cases control_cases();
Cases race_cases();
Cases race_queue_cases();
Cases work_cases();
PlatformCases pci_cases();
PlatformCases platform_cases();
PlatformCases platform_race_cases();

}  // namespace guest
