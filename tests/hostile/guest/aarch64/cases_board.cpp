// SPDX-License-Identifier: Apache-2.0
// What only an Arm processor does: loads and stores that are more than that, but that a hypervisor
// can decode. Those that it cannot end the machine: undecodable.cpp.
#include "lab.hpp"

namespace guest {
namespace {

void acquire_and_release(Lab& lab) {
    if (!lab.up())
        return;
    const u64 status = lab.device.parts.common + reg::kStatus;
    u32 value = 0;
    asm volatile("ldarb %w0, [%1]" : "=r"(value) : "r"(status) : "memory");
    lab.expect(value & status::kDriverOk, status::kDriverOk, "DRIVER_OK is");
    const u64 select = lab.device.parts.common + reg::kQueueSelect;
    asm volatile("stlrh %w0, [%1]" : : "r"(0xffff), "r"(select) : "memory");
    asm volatile("ldarh %w0, [%1]" : "=r"(value) : "r"(select) : "memory");
    lab.expect(value, 0xffff, "the selected queue is");
    lab.works();
}

// What a load with a sign gives is KVM's doing, and not looked at.
void other_forms(Lab& lab) {
    if (!lab.up())
        return;
    const u64 select = lab.device.parts.common + reg::kQueueSelect;
    write16(select, 0x8001);
    u64 value = 0;
    asm volatile("ldrsh %0, [%1]" : "=r"(value) : "r"(select) : "memory");
    asm volatile("ldrsh %w0, [%1]" : "=r"(value) : "r"(select) : "memory");
    asm volatile("ldurh %w0, [%1, #-2]" : "=r"(value) : "r"(select + 2) : "memory");
    lab.expect(value, 0x8001, "the selected queue is");
    asm volatile("strh wzr, [%0]" : : "r"(select) : "memory");
    asm volatile("ldrh wzr, [%0]" : : "r"(select) : "memory");
    lab.expect(read16(select), 0, "the queue that the zero register selects is");
    lab.works();
}

// These are no accesses.
void cache_maintenance(Lab& lab) {
    if (!lab.up())
        return;
    const u64 at = lab.device.parts.common;
    lab.submit(lab.request());
    asm volatile("dc civac, %0\n\tdc cvac, %0\n\tdc cvau, %0\n\tic ivau, %0\n\tdsb sy"
                 :
                 : "r"(at)
                 : "memory");
    asm volatile("prfm pldl1keep, [%0]\n\tprfm pstl1keep, [%0]" : : "r"(at) : "memory");
    if (lab.expect_used())
        lab.works();
}

constexpr Case kCases[] = {
    {27, "acquire_and_release", kNoRing, nullptr, acquire_and_release},
    {27, "other_forms_of_loads_and_stores", kNoRing, nullptr, other_forms},
    {27, "cache_maintenance_of_registers", kNoRing, nullptr, cache_maintenance},
};

}  // namespace

Cases board_cases() {
    return cases(kCases);
}

}  // namespace guest
