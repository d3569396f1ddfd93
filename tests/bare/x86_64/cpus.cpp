// SPDX-License-Identifier: Apache-2.0
#include "cpus.hpp"

extern "C" const char trampoline[];
extern "C" const char trampoline_end[];

namespace guest {
namespace {

constexpr u64 kTrampoline = 0x3'0000;  // a page that the VMM has handed over nothing in
constexpr u64 kCommandLow = kLocalApic + 0x300;
constexpr u64 kCommandHigh = kLocalApic + 0x310;
constexpr u32 kSending = 1U << 12;
constexpr u64 kSpurious = kLocalApic + 0xf0;
constexpr u32 kEnabled = 0x1ff;
constexpr u32 kInit = 0x4500;
constexpr u32 kStart = 0x4600 | static_cast<u32>(kTrampoline >> 12);

struct Cpu {
    Work work = nullptr;
    void* with = nullptr;
    bool came = false;
    bool done = true;
};
Cpu cpus[kMostCpus];

// By the local APIC of this CPU.
void tell_cpu(unsigned cpu, u32 what) {
    write32(kCommandHigh, cpu << 24);
    write32(kCommandLow, what);
    for (const Deadline late; (read32(kCommandLow) & kSending) != 0 && !late.over();)
        pause();
}

bool came_within(const Cpu& cpu, u64 time) {
    for (const Deadline soon{time}; !soon.over(); pause())
        if (__atomic_load_n(&cpu.came, __ATOMIC_ACQUIRE))
            return true;
    return false;
}

}  // namespace

void start_cpu(unsigned cpu, Work work, void* with) {
    auto* const to = reinterpret_cast<volatile char*>(kTrampoline);
    for (long i = 0; i < trampoline_end - trampoline; ++i)
        to[i] = trampoline[i];
    cpus[cpu] = {.work = work, .with = with, .came = false, .done = false};
    fence();
    // Some KVMs do not know the last CPU by its number before anybody has turned an APIC on.
    write32(kSpurious, kEnabled);
    start_cpu_again(cpu);
    // A SIPI so soon after INIT may be taken for one of an INIT before: then another is due, as
    // the specification of processors has it anyway.
    for (const Deadline late; !came_within(cpus[cpu], 1 << 23) && !late.over();)
        tell_cpu(cpu, kStart);
}

void start_cpu_again(unsigned cpu) {
    tell_cpu(cpu, kInit);
    tell_cpu(cpu, kStart);
}

bool stop_cpu(unsigned cpu) {
    for (const Deadline late; !__atomic_load_n(&cpus[cpu].done, __ATOMIC_ACQUIRE); pause())
        if (late.over())
            return false;
    tell_cpu(cpu, kInit);
    return true;
}

extern "C" [[noreturn]] void other_cpu_main(u64 number) {
    Cpu& self = cpus[number % kMostCpus];
    __atomic_store_n(&self.came, true, __ATOMIC_RELEASE);
    self.work(self.with);
    __atomic_store_n(&self.done, true, __ATOMIC_RELEASE);
    for (;;)
        pause();
}

}  // namespace guest
