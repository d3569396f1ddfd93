// SPDX-License-Identifier: Apache-2.0
#include "cpus.hpp"

extern "C" const char other_cpu_start[];

namespace guest {
namespace {

struct Cpu {
    Work work = nullptr;
    void* with = nullptr;
    bool done = true;
};
Cpu cpus[kMostCpus];

// MPIDR_EL1 of the first 16 CPUs is their number, as KVM gives it out.
u64 turn_on(unsigned cpu) {
    return call_firmware(psci::kCpuOn, cpu, address_of(other_cpu_start), cpu);
}

}  // namespace

// One that was just told to turn itself off may still be on its way.
void start_cpu(unsigned cpu, Work work, void* with) {
    cpus[cpu] = {.work = work, .with = with, .done = false};
    fence();
    for (const Deadline late; turn_on(cpu) != 0 && !late.over();)
        pause();
}

void start_cpu_again(unsigned cpu) {
    turn_on(cpu);
}

bool stop_cpu(unsigned cpu) {
    for (const Deadline late; !__atomic_load_n(&cpus[cpu].done, __ATOMIC_ACQUIRE); pause())
        if (late.over())
            return false;
    for (const Deadline late; call_firmware(psci::kAffinityInfo, cpu) != psci::kOff;)
        if (late.over())
            return false;
    return true;
}

extern "C" [[noreturn]] void other_cpu_main(u64 number) {
    Cpu& self = cpus[number % kMostCpus];
    self.work(self.with);
    __atomic_store_n(&self.done, true, __ATOMIC_RELEASE);
    for (;;)
        call_firmware(psci::kCpuOff);
}

}  // namespace guest
