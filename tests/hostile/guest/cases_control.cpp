// SPDX-License-Identifier: Apache-2.0
// Messages about ports: wrong numbers, wrong events, wrong lengths, at the wrong time.
//
// Spec: virtio 1.3, 5.3.6.2. The machine has two ports, "agent" and "log"; queue 3 is what a driver
// says, queue 2 what it hears, queues 4 and 5 are those of the second port.
#include "lab.hpp"

namespace guest {
namespace {

enum Event : u16 { kDeviceReady, kDeviceAdd, kDeviceRemove, kPortReady, kConsolePort, kResize };
constexpr u16 kPortOpen = 6;
constexpr u16 kPortName = 7;
constexpr u16 kHeard = 2;
constexpr u16 kSaid = 3;
constexpr u16 kSecondIn = 4;
constexpr u16 kSecondOut = 5;
constexpr u32 kMessage = 8;  // bytes, without what may follow
constexpr u64 kSlot = 64;    // between two buffers for messages

void write_message(u32 port, u16 event, u16 value) {
    write32(address_of(buffers.header), port);
    write32(address_of(buffers.header + 4), u32{value} << 16 | event);
}

// Each is taken, whatever it says.
bool tell_bytes(Lab& lab, u32 length) {
    Chain chain;
    lab.use(kSaid);
    lab.submit(chain.add(buffers.header, length));
    return lab.expect_used(0);
}

bool tell(Lab& lab, u32 port, u16 event, u16 value) {
    write_message(port, event, value);
    return tell_bytes(lab, kMessage);
}

void listen(Lab& lab, u16 count, u32 length) {
    lab.use(kHeard);
    for (u16 i = 0; i < count; ++i) {
        Chain chain;
        lab.ring().offer(chain.add(buffers.table + i * kSlot, length, kWrite), i);
    }
    lab.kick();
}

bool hears(Lab& lab, u32 port, u16 event, u32 more = 0) {
    lab.use(kHeard);
    if (!lab.expect_used(kMessage + more))
        return false;
    const u64 at = address_of(buffers.table + lab.last.id * kSlot);
    return lab.expect(read32(at), port, "the message is about port") &&
           lab.expect(read16(at + 4), event, "the message is");
}

// Nothing comes that nobody asked for.
bool hears_nothing(Lab& lab) {
    for (const Deadline soon{1 << 22}; !soon.over();)
        pause();
    return lab.expect(lab.ring(kHeard).drain(), 0, "messages that came:");
}

bool prints(Lab& lab, u16 queue) {
    Chain chain;
    lab.use(queue);
    lab.submit(chain.add(buffers.data, 32));
    return lab.expect_used(0);
}

// From a reset to output on the second port, as a driver should.
void talks(Lab& lab) {
    if (!lab.up())
        return;
    listen(lab, 8, kSlot);
    static_cast<void>(tell(lab, 0, kDeviceReady, 1) && hears(lab, 0, kDeviceAdd) &&
                      hears(lab, 1, kDeviceAdd) && tell(lab, 1, kPortReady, 1) &&
                      hears(lab, 1, kPortName, 3) && hears(lab, 1, kPortOpen) &&
                      tell(lab, 1, kPortOpen, 1) && prints(lab, kSecondOut));
}

// The breach, in a talk that has begun; then a good one.
void after_begin(Lab& lab, void (*breach)(Lab&)) {
    if (!lab.up())
        return;
    listen(lab, 8, kSlot);
    if (!tell(lab, 0, kDeviceReady, 1) || !hears(lab, 0, kDeviceAdd) || !hears(lab, 1, kDeviceAdd))
        return;
    breach(lab);
    if (lab.why == nullptr)
        talks(lab);
}

// ---- ports that are none

void ports_that_are_none(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        for (const u32 port : {2U, 31U, 0x8000'0000U, 0xffff'ffffU})
            for (u16 event = 1; event < 10; ++event)
                for (const u16 value : {u16{0}, u16{1}, u16{0xffff}})
                    if (!tell(of, port, event, value))
                        return;
        hears_nothing(of);
    });
}

// Ready is the device, whatever port it says.
void device_ready_of_a_port_that_is_none(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        static_cast<void>(tell(of, 0xffff'ffff, kDeviceReady, 1) && hears(of, 0, kDeviceAdd) &&
                          hears(of, 1, kDeviceAdd) && hears_nothing(of));
    });
}

// ---- events that are none, or the device's own

void unknown_events(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        for (const u16 event : {u16{8}, u16{9}, u16{0x100}, u16{0x7fff}, u16{0xffff}})
            for (const u16 value : {u16{0}, u16{1}, u16{0xffff}})
                if (!tell(of, 1, event, value))
                    return;
        hears_nothing(of);
    });
}

void events_of_the_device(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        for (const u16 event :
             {u16{kDeviceAdd}, u16{kDeviceRemove}, u16{kConsolePort}, u16{kResize}, kPortName})
            for (const u32 port : {0U, 1U, 2U})
                if (!tell(of, port, event, 1))
                    return;
        hears_nothing(of);
    });
}

// ---- lengths

void too_short(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        write_message(0, kDeviceReady, 1);
        for (u32 length = 0; length < kMessage; ++length)
            if (!tell_bytes(of, length))
                return;
        hears_nothing(of);
    });
}

void too_long(Lab& lab) {
    if (!lab.up())
        return;
    write_message(1, kPortOpen, 1);
    for (const u32 length : {9U, 4096U, 0x2'0000U, 0x1000'0000U})
        if (!tell_bytes(lab, length))
            return;
    talks(lab);
}

void in_pieces(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        Chain chain;
        write_message(1, kPortReady, 1);
        for (u32 i = 0; i < kMessage; ++i)
            chain.add(buffers.header + i, 1);
        of.use(kSaid);
        of.submit(chain.link());
        static_cast<void>(of.expect_used(0) && hears(of, 1, kPortName, 3));
    });
}

void writable_message(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        write_message(0, kDeviceReady, 1);
        Chain chain;
        of.use(kSaid);
        of.submit(chain.add(buffers.header, kMessage, kWrite));
        static_cast<void>(of.expect_used(0) && hears_nothing(of));
    });
}

// ---- in the wrong order

void port_ready_first(Lab& lab) {
    if (!lab.up())
        return;
    listen(lab, 8, kSlot);
    if (tell(lab, 1, kPortReady, 1) && tell(lab, 1, kPortOpen, 1) && prints(lab, kSecondOut))
        talks(lab);
}

void open_before_ready(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        static_cast<void>(tell(of, 1, kPortOpen, 1) && prints(of, kSecondOut) &&
                          tell(of, 1, kPortOpen, 0) && hears_nothing(of));
    });
}

void output_of_a_closed_port(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        static_cast<void>(tell(of, 1, kPortReady, 1) && tell(of, 1, kPortOpen, 1) &&
                          tell(of, 1, kPortOpen, 0) && tell(of, 1, kPortReady, 0) &&
                          prints(of, kSecondOut) && prints(of, kSecondOut));
    });
}

void device_not_ready_after_all(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        static_cast<void>(tell(of, 1, kPortReady, 1) && tell(of, 0, kDeviceReady, 0) &&
                          tell(of, 0, kDeviceReady, 2) && tell(of, 1, kPortReady, 0xffff));
    });
}

void values_that_are_no_truth(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        for (const u16 event : {u16{kPortReady}, kPortOpen})
            for (const u16 value : {u16{2}, u16{0x100}, u16{0x8000}, u16{0xffff}})
                if (!tell(of, 1, event, value))
                    return;
    });
}

void messages_without_the_feature(Lab& lab) {
    if (!lab.up_with(lab.features() & ~feature(1)))
        return;
    write_message(0, kDeviceReady, 1);
    Chain chain;
    lab.ring(kSaid).offer(chain.add(buffers.header, kMessage));
    for (u16 queue = 0; queue < lab.kind->queues; ++queue)
        lab.device.kick(queue);
    talks(lab);
}

// ---- buffers for messages

void no_buffers(Lab& lab) {
    if (!lab.up())
        return;
    for (unsigned i = 0; i < 200; ++i)
        if (!tell(lab, 0, kDeviceReady, 1) || !tell(lab, i % 2, kPortReady, 1))
            return;
    // What is due is told once: to be ready took back that they were to be added.
    listen(lab, 16, kSlot);
    unsigned came = 0;
    for (const Deadline late; came == 0 && !late.over();)
        came = lab.ring(kHeard).drain();
    for (const Deadline soon{1 << 22}; !soon.over();)
        pause();
    came += lab.ring(kHeard).drain();
    if (lab.expect(came > 0 && came <= 4, "messages were kept for a driver that does not listen"))
        talks(lab);
}

void buffers_too_small(Lab& lab) {
    if (!lab.up())
        return;
    lab.use(kHeard);
    for (u16 i = 0; i < 8; ++i) {
        Chain chain;
        lab.ring().offer(chain.add(buffers.table + i * kSlot, i, kWrite), i);
    }
    lab.kick();
    for (unsigned i = 0; i < 4; ++i)
        if (!tell(lab, 0, kDeviceReady, 1))
            return;
    lab.use(kHeard);
    for (unsigned i = 0; i < 8; ++i)
        if (!lab.expect_used(0))
            return;
    talks(lab);
}

void buffers_that_cannot_be_written(Lab& lab) {
    if (!lab.up())
        return;
    lab.use(kHeard);
    Chain readable;
    Chain nowhere;
    lab.ring().offer(readable.add(buffers.table, kSlot), 0);
    lab.ring().offer(nowhere.add_at(lab.ram.low_end, kSlot, kWrite), 1);
    lab.kick();
    if (!tell(lab, 0, kDeviceReady, 1))
        return;
    lab.use(kHeard);
    if (lab.expect_used(0) && lab.expect_used(0))
        talks(lab);
}

void name_cut_off(Lab& lab) {
    if (!lab.up())
        return;
    listen(lab, 8, kMessage + 2);
    if (!tell(lab, 0, kDeviceReady, 1) || !hears(lab, 0, kDeviceAdd) ||
        !hears(lab, 1, kDeviceAdd) || !tell(lab, 1, kPortReady, 1))
        return;
    lab.use(kHeard);
    if (lab.expect_used(0) && hears(lab, 1, kPortOpen))
        talks(lab);
}

// ---- floods and resets

void flood(Lab& lab) {
    after_begin(lab, [](Lab& of) {
        constexpr u16 kEvents[] = {kDeviceReady, kPortReady, kPortOpen, 99};
        Chain chain;
        chain.add(buffers.header, kMessage);
        for (unsigned turn = 0; turn < 100; ++turn) {
            write_message(turn % 3, kEvents[turn % 4], turn % 5 == 0 ? 0 : 1);
            of.use(kSaid);
            const unsigned count = of.fill(chain, Lab::Kicks::One);
            for (unsigned i = 0; i < count; ++i)
                if (!of.expect_used(0))
                    return;
        }
    });
}

void reset_in_the_middle(Lab& lab) {
    for (unsigned i = 0; i < 8; ++i) {
        if (!lab.up())
            return;
        listen(lab, static_cast<u16>(1 + i), kSlot);
        write_message(0, kDeviceReady, 1);
        Chain chain;
        lab.use(kSaid);
        lab.fill(chain.add(buffers.header, kMessage), Lab::Kicks::Each);
        write_message(1, kPortReady, 1);
        if (!lab.expect(lab.device.reset(), "the reset does not end"))
            return;
    }
    talks(lab);
}

// A driver that starts again knows of nothing, and hears nothing of what the last one asked.
void nothing_left_after_reset(Lab& lab) {
    if (!lab.up() || !tell(lab, 0, kDeviceReady, 1) || !tell(lab, 1, kPortReady, 1))
        return;
    if (!lab.up())
        return;
    listen(lab, 8, kSlot);
    if (hears_nothing(lab))
        talks(lab);
}

void queues_reset_in_the_middle(Lab& lab) {
    for (const u16 queue : {kHeard, kSaid, kSecondIn, kSecondOut}) {
        if (!lab.up())
            return;
        listen(lab, 4, kSlot);
        write_message(0, kDeviceReady, 1);
        Chain chain;
        lab.use(kSaid);
        lab.fill(chain.add(buffers.header, kMessage), Lab::Kicks::One);
        lab.device.select(queue);
        lab.device.set16(reg::kQueueReset, 1);
        for (const Deadline late; lab.device.get16(reg::kQueueReset) != 0;)
            if (late.over()) {
                lab.fail("the reset of a queue does not end", queue);
                return;
            }
        lab.device.kick(queue);
    }
    talks(lab);
}

constexpr Case kCases[] = {
    {3, "ports_that_are_none", kBoth, "ports", ports_that_are_none},
    {3, "device_ready_of_a_port_that_is_none", kBoth, "ports", device_ready_of_a_port_that_is_none},
    {21, "unknown_port_events", kBoth, "ports", unknown_events},
    {21, "port_events_of_the_device", kBoth, "ports", events_of_the_device},
    {9, "port_message_too_short", kBoth, "ports", too_short},
    {17, "port_message_too_long", kBoth, "ports", too_long},
    {11, "port_message_in_pieces", kBoth, "ports", in_pieces},
    {11, "port_message_writable", kBoth, "ports", writable_message},
    {1, "port_ready_before_device_ready", kBoth, "ports", port_ready_first},
    {1, "port_open_before_port_ready", kBoth, "ports", open_before_ready},
    {1, "output_of_a_closed_port", kBoth, "ports", output_of_a_closed_port},
    {1, "device_not_ready_after_all", kBoth, "ports", device_not_ready_after_all},
    {21, "values_that_are_no_truth", kBoth, "ports", values_that_are_no_truth},
    {20, "port_messages_without_the_feature", kBoth, "ports", messages_without_the_feature},
    {17, "port_messages_that_nobody_takes", kBoth, "ports", no_buffers},
    {9, "port_message_buffers_too_small", kBoth, "ports", buffers_too_small},
    {7, "port_message_buffers_nowhere", kBoth, "ports", buffers_that_cannot_be_written},
    {9, "port_name_cut_off", kBoth, "ports", name_cut_off},
    {16, "port_message_flood", kBoth, "ports", flood},
    {10, "reset_in_the_middle_of_a_talk", kBoth, "ports", reset_in_the_middle},
    {10, "nothing_left_of_a_talk_after_reset", kBoth, "ports", nothing_left_after_reset},
    {10, "queues_reset_in_the_middle_of_a_talk", kBoth, "ports", queues_reset_in_the_middle},
};

}  // namespace

Cases control_cases() {
    return cases(kCases);
}

}  // namespace guest
