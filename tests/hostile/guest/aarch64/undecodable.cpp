// SPDX-License-Identifier: Apache-2.0
// Accesses of a device that the processor does not describe to a hypervisor: KVM gives up, and the
// VMM says why and ends. One that comes back was let through.
#include "lab.hpp"
#include "platform.hpp"

namespace guest {
namespace {

void pair(u64 at) {
    u64 low = 0;
    u64 high = 0;
    asm volatile("ldp %0, %1, [%2]" : "=r"(low), "=r"(high) : "r"(at) : "memory");
}
void pair_written(u64 at) {
    asm volatile("stp xzr, xzr, [%0]" : : "r"(at) : "memory");
}
void address_written_back(u64 at) {
    u64 value = 0;
    asm volatile("ldr %0, [%1], #8" : "=r"(value), "+r"(at) : : "memory");
}
void exclusive(u64 at) {
    u64 value = 0;
    asm volatile("ldxr %0, [%1]" : "=r"(value) : "r"(at) : "memory");
}
void vector(u64 at) {
    asm volatile("str q0, [%0]" : : "r"(at) : "memory");
}
void zeroed_line(u64 at) {
    asm volatile("dc zva, %0" : : "r"(at) : "memory");
}

struct Access {
    const char* name;
    void (*make)(u64 at);
};
constexpr Access kAll[] = {{"pair", pair},
                           {"pair_written", pair_written},
                           {"write_back", address_written_back},
                           {"exclusive", exclusive},
                           {"vector", vector},
                           {"zeroed_line", zeroed_line}};

}  // namespace

void run_undecodable(const char* name) {
    Virtio device;
    constexpr u16 kEntropy = 4;
    if (!device.find(kEntropy, 0))
        return say("there is no entropy device\n");
    for (const Access& each : kAll)
        if (same(each.name, name)) {
            each.make(device.parts.common);
            say("it came back\n");
        }
}

}  // namespace guest
