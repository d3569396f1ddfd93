// SPDX-License-Identifier: Apache-2.0
// Several CPUs that do things to one device at once, for a bounded time.
#pragma once

#include "cpus.hpp"

namespace guest {

/// Numbers that look like chance and are the same in each run; xorshift64.
class Random {
public:
    explicit Random(u64 seed) : state_{seed * 0x9e37'79b9'7f4a'7c15 | 1} {}
    u64 next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    u32 below(u32 end) { return static_cast<u32>((next() >> 32) % end); }
    template <class T, unsigned Count>
    T pick(const T (&from)[Count]) {
        return from[below(Count)];
    }

private:
    u64 state_;
};

inline constexpr u64 kRaceTime = u64{1} << 26;  // cycles: some 20 ms

/// One CPU of a race: does `step` again and again until time is over. A step is short, or waits for
/// something that comes whatever the others do.
template <class With>
struct Racer {
    using Step = void (*)(With& with, Random& random);
    Step step;
    With* with;
    unsigned* waiting;  ///< CPUs that are not ready yet
    u64 time;           ///< cycles
    Random random;

    static void run(void* self) {
        auto& racer = *static_cast<Racer*>(self);
        __atomic_fetch_sub(racer.waiting, 1, __ATOMIC_ACQ_REL);
        for (const Deadline late; __atomic_load_n(racer.waiting, __ATOMIC_ACQUIRE) != 0; pause())
            if (late.over())
                return;
        for (const Deadline end{racer.time}; !end.over();)
            racer.step(*racer.with, racer.random);
    }
};

/// `here` on this CPU, the others on one each, none before all are ready. False: one of them did
/// not come, or does not come back out of the VMM.
template <class With>
bool race(With& with, typename Racer<With>::Step here, typename Racer<With>::Step there,
          typename Racer<With>::Step elsewhere, u64 time = kRaceTime) {
    static u64 seed = 0;
    ++seed;
    unsigned waiting = 3;
    Racer<With> first{here, &with, &waiting, time, Random{3 * seed}};
    Racer<With> second{there, &with, &waiting, time, Random{3 * seed + 1}};
    Racer<With> third{elsewhere, &with, &waiting, time, Random{3 * seed + 2}};
    start_cpu(1, Racer<With>::run, &second);
    start_cpu(2, Racer<With>::run, &third);
    Racer<With>::run(&first);
    const bool came_back = stop_cpu(1);
    return stop_cpu(2) && came_back && waiting == 0;
}

}  // namespace guest
