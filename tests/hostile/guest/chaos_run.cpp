// SPDX-License-Identifier: Apache-2.0
// Generations of chaos: a seed from the host, all CPUs at it, then a reset of the machine.
#include "chaos.hpp"
#include "cpus.hpp"

namespace guest::chaos {
namespace {

constexpr unsigned kCpus = 3;
constexpr u32 kStepsPerLine = 512;

World world;

struct Worker {
    Random random{0};
    u32 steps = 0;
};
Worker workers[kCpus];

void work(void* with) {
    auto& worker = *static_cast<Worker*>(with);
    for (;;) {
        step(world, worker.random);
        __atomic_fetch_add(&worker.steps, 1, __ATOMIC_RELAXED);
    }
}

void find_targets() {
    constexpr u16 kVendor = 0x1af4;
    constexpr u16 kFirstDevice = 0x1040;
    for (unsigned slot = 0; slot < kSlots && world.count < kMostTargets; ++slot) {
        const Function function{slot};
        if (function.get32(0) == 0xffff'ffff)
            continue;
        Target& target = world.targets[world.count++];
        target.function = function;
        for (unsigned i = 0; i < 6; ++i)
            target.bars[i] = function.get32(kBar0 + 4 * i);
        function.enable();
        if (function.get16(0) != kVendor || function.get16(2) < kFirstDevice)
            continue;
        target.parts = find_parts(function);
        if (target.parts.common != 0)
            target.type = static_cast<u16>(function.get16(2) - kFirstDevice);
    }
}

u64 ask_for_seed() {
    say("\nchaos?\n");
    u64 seed = 0;
    for (u8 digit = hear(); digit != '\n'; digit = hear())
        if (digit >= '0' && digit <= '9')
            seed = 10 * seed + (digit - u64{'0'});
    return seed;
}

u32 all_steps() {
    u32 steps = 0;
    for (Worker& worker : workers)
        steps += __atomic_load_n(&worker.steps, __ATOMIC_RELAXED);
    return steps;
}

// The first CPU also keeps the books, and starts another one again in the midst of what it does.
void lead(u32 steps) {
    Worker& self = workers[0];
    for (u32 said = 0; all_steps() < steps;) {
        step(world, self.random);
        __atomic_fetch_add(&self.steps, 1, __ATOMIC_RELAXED);
        if (self.random.below(512) == 0)
            start_cpu_again(1 + self.random.below(kCpus - 1));
        if (!world.serial && all_steps() - said >= kStepsPerLine) {
            said = all_steps();
            say("\nsteps ");
            say_number(said);
            say("\n");
        }
    }
}

[[noreturn]] void reset(Random& random) {
    if (random.below(4) == 0)
        crash();
    start_again();
}

}  // namespace

void run(const Ram& ram) {
    world.ram = ram;
    find_targets();
    const u64 seed = ask_for_seed();
    Random random{seed};
    world.serial = random.below(4) == 0;
    // What a driver does first: most of the interesting states come after it.
    for (unsigned i = 0; i < kCpus; ++i)
        workers[i].random = Random{seed * kCpus + i + 1};
    for (unsigned i = 1; i < kCpus; ++i)
        start_cpu(i, work, &workers[i]);
    lead(200 + random.below(4000));
    reset(random);
}

}  // namespace guest::chaos
