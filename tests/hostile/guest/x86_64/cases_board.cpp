// SPDX-License-Identifier: Apache-2.0
// What only a PC has: doorbells among the ports, instructions that KVM takes apart.
#include "lab.hpp"

namespace guest {
namespace {

constexpr u32 kNothing = 0xffff'ffff;

const Function& function_of(Lab& lab) {
    return lab.device.function;
}

// ---- doorbells among the ports

void port_bar_at(Lab& lab, u32 where) {
    if (!lab.up())
        return;
    const u32 offset = kBar0 + 4 * lab.device.parts.port_bar;
    const u32 before = function_of(lab).get32(offset);
    function_of(lab).set32(offset, where);
    // What lies there already goes on; this device is kicked in memory meanwhile.
    lab.ring().offer(lab.request());
    write16(lab.device.doorbell(lab.queue()), lab.queue());
    const bool answered = lab.expect_used();
    function_of(lab).set32(offset, before);
    if (answered)
        lab.works();
}
void ports_over_the_serial_port(Lab& lab) {
    port_bar_at(lab, 0x3f8);
}
void ports_over_configuration_space(Lab& lab) {
    port_bar_at(lab, 0xcf8);
}
void ports_over_interrupt_controllers(Lab& lab) {
    port_bar_at(lab, 0x20);
}
void ports_at_zero(Lab& lab) {
    port_bar_at(lab, 0);
}
void ports_at_the_top(Lab& lab) {
    port_bar_at(lab, kNothing);
}

void ports_moved_while_running(Lab& lab) {
    if (!lab.expect(lab.device.parts.ports != 0, "there are no ports") || !lab.up())
        return;
    const u32 offset = kBar0 + 4 * lab.device.parts.port_bar;
    const u32 before = function_of(lab).get32(offset);
    const u16 from = lab.device.parts.ports;
    for (const u16 to : {u16{0xf000}, u16{0x2000}, u16{0xff00}}) {
        function_of(lab).set32(offset, to);
        lab.device.parts.ports = to;
        if (!lab.works())
            break;
    }
    out16(from, 0);
    function_of(lab).set32(offset, before);
    lab.device.parts.ports = from;
    lab.works();
}

void ports_of_odd_widths(Lab& lab) {
    if (!lab.up())
        return;
    const u16 at = lab.device.port_doorbell(lab.queue());
    for (u16 port = at - 2; port < at + 6; ++port) {
        out8(port, 0xff);
        out16(port, 0xffff);
        out32(port, kNothing);
        static_cast<void>(in8(port));
        static_cast<void>(in32(port));
    }
    lab.expect(in16(at), 0xffff, "a doorbell reads");
    u64 from = address_of(buffers.table);
    u64 count = 64;
    asm volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(at) : "memory");
    lab.works();
}

void ports_off_while_running(Lab& lab) {
    if (!lab.up())
        return;
    lab.ring().offer(lab.request());
    function_of(lab).set16(kCommand, kCommandMemory | kCommandMaster);
    lab.kick();
    write16(lab.device.doorbell(lab.queue()), lab.queue());
    const bool answered = lab.expect_used();
    function_of(lab).enable();
    if (answered)
        lab.works();
}

void both_doorbells(Lab& lab) {
    if (!lab.up())
        return;
    for (unsigned i = 0; i < 20; ++i) {
        lab.submit(lab.request());
        write16(lab.device.doorbell(lab.queue()), lab.queue());
        lab.kick();
        if (!lab.expect_used())
            return;
    }
    lab.works();
}

void port_of_no_queue(Lab& lab) {
    if (!lab.up())
        return;
    const u16 queues = lab.device.get16(reg::kNumQueues);
    for (u16 queue = queues; queue < queues + 40; ++queue)
        out16(lab.device.port_doorbell(queue), queue);
    lab.works();
}

// ---- instructions

// Instructions that access many times: KVM takes them apart.
void string_instructions(Lab& lab) {
    if (!lab.up())
        return;
    u64 from = lab.device.parts.common;
    u64 to = address_of(buffers.table);
    u64 count = reg::kEnd;
    asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    from = lab.device.parts.common + 2;
    to = address_of(buffers.table);
    count = 6;
    asm volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    asm volatile("lock orl %1, (%0)"
                 :
                 : "r"(lab.device.parts.common + reg::kQueueSelect), "r"(~0U)
                 : "memory");
    asm volatile("movups %%xmm0, (%0)" : : "r"(lab.device.parts.common + 0x20) : "memory");
    lab.works();
}

constexpr Case kCases[] = {
    {25, "ports_over_the_serial_port", kNoRing, nullptr, ports_over_the_serial_port},
    {25, "ports_over_configuration_space", kNoRing, nullptr, ports_over_configuration_space},
    {25, "ports_over_interrupt_controllers", kNoRing, nullptr, ports_over_interrupt_controllers},
    {25, "ports_at_zero", kNoRing, nullptr, ports_at_zero},
    {25, "ports_at_the_top", kNoRing, nullptr, ports_at_the_top},
    {25, "ports_moved_while_running", kBoth, nullptr, ports_moved_while_running},
    {25, "ports_off_while_running", kNoRing, nullptr, ports_off_while_running},
    {27, "ports_of_odd_widths", kNoRing, nullptr, ports_of_odd_widths},
    {3, "port_of_no_queue", kNoRing, nullptr, port_of_no_queue},
    {16, "both_doorbells", kBoth, nullptr, both_doorbells},
    {27, "string_and_locked_instructions", kNoRing, nullptr, string_instructions},
};

}  // namespace

Cases board_cases() {
    return cases(kCases);
}

}  // namespace guest
