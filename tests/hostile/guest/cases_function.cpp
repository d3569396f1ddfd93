// SPDX-License-Identifier: Apache-2.0
// The PCI function around a device: BARs where none may be, command bits, read-only bytes, the
// window to the BAR in configuration space.
#include "lab.hpp"

namespace guest {
namespace {

constexpr unsigned kWidths[] = {1, 2, 4, 8};
constexpr u32 kNothing = 0xffff'ffff;

const Function& function_of(Lab& lab) {
    return lab.device.function;
}

u32 bar_size(Lab& lab) {
    const u32 before = function_of(lab).get32(kBar0);
    function_of(lab).set32(kBar0, kNothing);
    const u32 size = ~(function_of(lab).get32(kBar0) & ~0xfU) + 1;
    function_of(lab).set32(kBar0, before);
    return size;
}

// The BAR is back where it was, and the queue that ran meanwhile still does.
void back_at(Lab& lab, u32 bar) {
    function_of(lab).set32(kBar0, bar);
    lab.works();
}

void moved_to(Lab& lab, u32 where) {
    if (!lab.up())
        return;
    const u32 bar = function_of(lab).get32(kBar0);
    lab.ring().offer(lab.request());
    lab.kick();
    function_of(lab).set32(kBar0, where);
    static_cast<void>(read32(where));
    function_of(lab).set32(kBar0, bar);
    if (lab.expect_used())
        lab.works();
}

void over_ram(Lab& lab) {
    constexpr u64 kSomewhere = kSpareRam;
    if (!lab.up())
        return;
    const u32 bar = function_of(lab).get32(kBar0);
    write32(kSomewhere, 0x1234'5678);
    function_of(lab).set32(kBar0, static_cast<u32>(kSomewhere));
    lab.expect(read32(kSomewhere), 0x1234'5678, "RAM under the BAR reads");
    write32(kSomewhere, 0x8765'4321);
    lab.expect(read32(kSomewhere), 0x8765'4321, "RAM under the BAR reads");
    back_at(lab, bar);
}

void over_configuration_space(Lab& lab) {
    if (!lab.up())
        return;
    const u32 bar = function_of(lab).get32(kBar0);
    const u32 identity = function_of(lab).get32(0);
    function_of(lab).set32(kBar0, static_cast<u32>(kEcam));
    lab.expect(function_of(lab).get32(0), identity, "the function's identity is");
    back_at(lab, bar);
}

void over_the_message_controller(Lab& lab) {
    if (!lab.up())
        return;
    const u32 bar = function_of(lab).get32(kBar0);
    const u32 version = read32(kMessageController + kControllerVersion);
    function_of(lab).set32(kBar0, static_cast<u32>(kMessageController));
    lab.expect(read32(kMessageController + kControllerVersion), version, "its version is");
    back_at(lab, bar);
}

void over_the_pin_controller(Lab& lab) {
    moved_to(lab, static_cast<u32>(kPinController));
}
void at_zero(Lab& lab) {
    moved_to(lab, 0);
}
void at_the_top(Lab& lab) {
    moved_to(lab, 0xffff'f000);
}
void across_the_window_start(Lab& lab) {
    moved_to(lab, kBarsStart - 0x1000);
}
void behind_the_window(Lab& lab) {
    moved_to(lab, kNowhere);
}

// pvpanic's BAR lies there: who came first stays, and is there when the other one goes.
void over_another_bar(Lab& lab) {
    const Function other = find_function(0x1b36, 0x0011);
    if (!lab.expect(static_cast<bool>(other), "there is no pvpanic") || !lab.up())
        return;
    other.enable();
    const u32 bar = function_of(lab).get32(kBar0);
    const u8 events = read8(other.bar());
    function_of(lab).set32(kBar0, other.bar() & ~(bar_size(lab) - 1));
    static_cast<void>(read8(other.bar()));
    function_of(lab).set32(kBar0, bar);
    lab.expect(read8(other.bar()), events, "the other device reads");
    lab.works();
}

// The other way round: another BAR comes to lie in the middle of a device that runs.
void another_bar_over_it(Lab& lab) {
    const Function other = find_function(0x1b36, 0x0011);
    if (!lab.expect(static_cast<bool>(other), "there is no pvpanic") || !lab.up())
        return;
    other.enable();
    const u32 bar = other.get32(kBar0);
    other.set32(kBar0, static_cast<u32>(lab.device.doorbell(0)) & ~0xfU);
    const bool works = lab.works();
    other.set32(kBar0, bar);
    if (works && lab.expect(read8(other.bar()) != 0xff, "the other device is gone"))
        lab.works();
}

// ---- moves that are allowed

// The device as it is at another place.
Lab& moved(Lab& lab, u32 to) {
    const u32 from = function_of(lab).bar();
    function_of(lab).set32(kBar0, to);
    for (u64* const at :
         {&lab.device.parts.common, &lab.device.parts.isr, &lab.device.parts.notify,
          &lab.device.parts.device, &lab.device.parts.table, &lab.device.parts.pending})
        *at += u64{to} - from;
    return lab;
}

void works_at_another_place(Lab& lab) {
    if (!lab.up())
        return;
    const u32 from = function_of(lab).bar();
    const u32 to = kBarsEnd - bar_size(lab);
    const u64 old_status = lab.device.parts.common + reg::kStatus;
    moved(lab, to);
    lab.expect(read8(old_status), 0xff, "the place it left reads");
    lab.expect(lab.device.status() & status::kDriverOk, status::kDriverOk, "DRIVER_OK is");
    lab.works();
    // The doorbell at the old place is dead.
    write16(from + (lab.device.doorbell(0) - to), 0);
    moved(lab, from);
    lab.works();
}

void moves_all_the_time(Lab& lab) {
    if (!lab.up())
        return;
    const u32 from = function_of(lab).bar();
    const u32 size = bar_size(lab);
    for (u32 i = 1; i <= 6; ++i) {
        lab.submit(lab.request());
        moved(lab, kBarsEnd - i * size);
        if (!lab.expect_used())
            break;
    }
    moved(lab, from);
    lab.works();
}

void sized_while_running(Lab& lab) {
    if (!lab.up())
        return;
    const u32 bar = function_of(lab).get32(kBar0);
    lab.submit(lab.request());
    for (const u32 value : {kNothing, 0U, 0x8000'0000U, kNothing})
        function_of(lab).set32(kBar0, value);
    const u32 size = ~(function_of(lab).get32(kBar0) & ~0xfU) + 1;
    function_of(lab).set32(kBar0, bar);
    lab.expect(size != 0 && (size & (size - 1)) == 0, "the size is not a power of two");
    if (lab.expect_used())
        lab.works();
}

void bars_that_are_not_there(Lab& lab) {
    if (!lab.up())
        return;
    for (const u32 offset : {0x14U, 0x18U, 0x1cU, 0x20U, 0x24U, 0x30U}) {
        if (offset == kBar0 + 4 * lab.device.parts.port_bar)
            continue;
        function_of(lab).set32(offset, kNothing);
        lab.expect(function_of(lab).get32(offset), 0, "a BAR that is not there reads");
    }
    lab.works();
}

void bar_written_in_pieces(Lab& lab) {
    if (!lab.up())
        return;
    const u32 bar = function_of(lab).get32(kBar0);
    for (u32 i = 0; i < 4; ++i)
        write8(function_of(lab).at(kBar0 + i), 0xff);
    function_of(lab).set16(kBar0, 0xffff);
    function_of(lab).set16(kBar0 + 2, static_cast<u16>(bar >> 16));
    function_of(lab).set16(kBar0, static_cast<u16>(bar));
    lab.expect(function_of(lab).get32(kBar0), bar, "the BAR is");
    lab.works();
}

// ---- the command register

void decoding_off(Lab& lab) {
    if (!lab.up())
        return;
    lab.submit(lab.request());
    function_of(lab).set16(kCommand, kCommandMaster);
    const u8 seen = read8(lab.device.parts.common + reg::kStatus);
    lab.kick();
    function_of(lab).enable();
    lab.expect(seen, 0xff, "a BAR that is off reads");
    if (lab.expect_used())
        lab.works();
}

void command_storm(Lab& lab) {
    if (!lab.up())
        return;
    lab.submit(lab.request());
    for (unsigned i = 0; i < 8; ++i)
        function_of(lab).set16(kCommand, i % 2 == 0 ? kCommandMaster : 0xffff);
    function_of(lab).set32(kCommand, kNothing);
    function_of(lab).enable();
    if (lab.expect_used())
        lab.works();
}

// What a kernel does that starts another one: the device may not write to memory any more.
void bus_master_taken_back(Lab& lab) {
    if (!lab.up())
        return;
    function_of(lab).set16(kCommand, kCommandIo | kCommandMemory);
    for (const Deadline late; lab.device.status() != 0;)
        if (late.over()) {
            lab.fail("the device goes on without bus mastering");
            return;
        }
    lab.ring().offer(lab.request());
    lab.kick();
    Used used;
    for (unsigned i = 0; i < 1000; ++i)
        static_cast<void>(lab.device.status());
    if (!lab.expect(!lab.ring().take_used(used), "a buffer was used without bus mastering"))
        return;
    function_of(lab).enable();
    if (lab.up())
        lab.works();
}

// ---- configuration space

void read_only_bytes(Lab& lab) {
    if (!lab.up())
        return;
    const Function& function = function_of(lab);
    const u32 identity = function.get32(0);
    const u32 kind = function.get32(8);
    const u32 subsystem = function.get32(0x2c);
    const u8 capabilities = function.get8(0x34);
    for (const u32 offset : {0U, 8U, 0xcU, 0x28U, 0x2cU, 0x34U, 0x38U})
        function.set32(offset, kNothing);
    lab.expect(function.get32(0), identity, "the identity is");
    lab.expect(function.get32(8), kind, "the class is");
    lab.expect(function.get32(0x2c), subsystem, "the subsystem is");
    lab.expect(function.get8(0x34), capabilities, "the first capability is at");
    lab.works();
}

// The list of capabilities is what it was, and it ends.
void capabilities_written(Lab& lab) {
    if (!lab.up())
        return;
    const Function& function = function_of(lab);
    for (u32 offset = 0x40; offset < 0x100; offset += 4)
        if (offset != lab.device.parts.msix)
            function.set32(offset, kNothing);
    const Parts again = find_parts(function);
    lab.expect(again.common, lab.device.parts.common, "the common configuration is at");
    lab.expect(again.notify, lab.device.parts.notify, "the doorbells are at");
    lab.expect(again.vectors, lab.device.parts.vectors, "the vectors are");
    lab.works();
}

void configuration_space_of_all_widths(Lab& lab) {
    if (!lab.up())
        return;
    const Function& function = function_of(lab);
    for (const unsigned width : kWidths)
        for (u32 offset = 0; offset < 0x48; ++offset) {
            static_cast<void>(read_of(width, function.at(offset)));
            if (width == 8 || offset % width != 0)
                write_of(width, function.at(offset), ~u64{0});
        }
    lab.expect(read64(function.at(0)), ~u64{0}, "8 bytes in one read are");
    lab.works();
}

void behind_256_bytes(Lab& lab) {
    if (!lab.up())
        return;
    const Function& function = function_of(lab);
    for (u32 offset = 0x100; offset < 0x1000; offset += 0x1fc)
        for (const unsigned width : kWidths) {
            write_of(width, function.at(offset), ~u64{0});
            static_cast<void>(read_of(width, function.at(offset)));
        }
    // Over the end, into the next function's.
    write32(function.at(0xffe), kNothing);
    static_cast<void>(read64(function.at(0xffc)));
    lab.works();
}

// ---- the window: VIRTIO_PCI_CAP_PCI_CFG

void window(Lab& lab, u8 bar, u32 offset, u32 length) {
    const Function& function = function_of(lab);
    const u32 at = lab.device.parts.window;
    write8(function.at(at + 4), bar);
    function.set32(at + 8, offset);
    function.set32(at + 12, length);
}

void window_good(Lab& lab) {
    if (!lab.up())
        return;
    window(lab, 0, reg::kNumQueues, 2);
    lab.expect(function_of(lab).get16(lab.device.parts.window + 16),
               lab.device.get16(reg::kNumQueues), "num_queues through the window is");
    lab.works();
}

void window_used(Lab& lab, u8 bar, u32 offset, u32 length) {
    if (!lab.up())
        return;
    window(lab, bar, offset, length);
    const u64 data = function_of(lab).at(lab.device.parts.window + 16);
    for (const unsigned width : {1U, 2U, 4U}) {
        static_cast<void>(read_of(width, data));
        write_of(width, data, ~u64{0});
    }
    window(lab, 0, 0, 0);
    lab.expect(lab.device.status() & status::kDriverOk, status::kDriverOk, "DRIVER_OK is");
    lab.works();
}
void window_of_another_bar(Lab& lab) {
    window_used(lab, 1, reg::kStatus, 1);
}
void window_of_bar_ff(Lab& lab) {
    window_used(lab, 0xff, reg::kStatus, 1);
}
void window_behind_the_bar(Lab& lab) {
    window_used(lab, 0, bar_size(lab), 4);
}
void window_over_the_end(Lab& lab) {
    window_used(lab, 0, bar_size(lab) - 2, 4);
}
void window_at_ffffffff(Lab& lab) {
    window_used(lab, 0, 0xffff'ffff, 1);
}
void window_offset_wraps(Lab& lab) {
    window_used(lab, 0, 0xffff'fffc, 4);
}
void window_length_0(Lab& lab) {
    window_used(lab, 0, reg::kStatus, 0);
}
void window_length_3(Lab& lab) {
    window_used(lab, 0, reg::kStatus, 3);
}
void window_length_8(Lab& lab) {
    window_used(lab, 0, reg::kQueueDescriptors, 8);
}
void window_length_ffffffff(Lab& lab) {
    window_used(lab, 0, 0, 0xffff'ffff);
}
void window_not_aligned(Lab& lab) {
    window_used(lab, 0, reg::kStatus - 1, 4);
}

// Through the window the doorbell and a reset work as ever.
void window_to_a_reset_in_flight(Lab& lab) {
    if (!lab.up())
        return;
    lab.ring().offer(lab.request());
    window(lab, 0, static_cast<u32>(lab.device.doorbell(lab.queue()) - function_of(lab).bar()), 2);
    function_of(lab).set16(lab.device.parts.window + 16, lab.queue());
    if (!lab.expect_used())
        return;
    lab.submit(lab.request());
    window(lab, 0, reg::kStatus, 1);
    write8(function_of(lab).at(lab.device.parts.window + 16), 0);
}

constexpr Case kCases[] = {
    {25, "bar_over_ram", kNoRing, nullptr, over_ram},
    {25, "bar_over_configuration_space", kNoRing, nullptr, over_configuration_space},
    {25, "bar_over_the_message_controller", kNoRing, nullptr, over_the_message_controller},
    {25, "bar_over_the_pin_controller", kNoRing, nullptr, over_the_pin_controller},
    {25, "bar_over_another_bar", kNoRing, nullptr, over_another_bar},
    {25, "another_bar_over_its_doorbells", kNoRing, nullptr, another_bar_over_it},
    {25, "bar_at_zero", kNoRing, nullptr, at_zero},
    {25, "bar_at_the_top", kNoRing, nullptr, at_the_top},
    {25, "bar_across_the_window_start", kNoRing, nullptr, across_the_window_start},
    {25, "bar_behind_the_window", kNoRing, nullptr, behind_the_window},
    {25, "bar_moved_while_running", kBoth, nullptr, works_at_another_place},
    {25, "bar_moves_all_the_time", kBoth, nullptr, moves_all_the_time},
    {25, "bar_sized_while_running", kNoRing, nullptr, sized_while_running},
    {25, "bars_that_are_not_there", kNoRing, nullptr, bars_that_are_not_there},
    {25, "bar_written_in_pieces", kNoRing, nullptr, bar_written_in_pieces},
    {25, "decoding_off_while_running", kNoRing, nullptr, decoding_off},
    {25, "command_storm", kNoRing, nullptr, command_storm},
    {25, "bus_master_taken_back", kBoth, nullptr, bus_master_taken_back},
    {25, "read_only_bytes", kNoRing, nullptr, read_only_bytes},
    {25, "capabilities_written", kNoRing, nullptr, capabilities_written},
    {27, "configuration_space_of_all_widths", kNoRing, nullptr, configuration_space_of_all_widths},
    {27, "configuration_space_behind_256_bytes", kNoRing, nullptr, behind_256_bytes},
    {19, "window_good", kNoRing, nullptr, window_good},
    {19, "window_of_another_bar", kNoRing, nullptr, window_of_another_bar},
    {19, "window_of_bar_ff", kNoRing, nullptr, window_of_bar_ff},
    {19, "window_behind_the_bar", kNoRing, nullptr, window_behind_the_bar},
    {19, "window_over_the_end", kNoRing, nullptr, window_over_the_end},
    {19, "window_at_ffffffff", kNoRing, nullptr, window_at_ffffffff},
    {19, "window_offset_wraps", kNoRing, nullptr, window_offset_wraps},
    {19, "window_length_0", kNoRing, nullptr, window_length_0},
    {19, "window_length_3", kNoRing, nullptr, window_length_3},
    {19, "window_length_8", kNoRing, nullptr, window_length_8},
    {19, "window_length_ffffffff", kNoRing, nullptr, window_length_ffffffff},
    {27, "window_not_aligned", kNoRing, nullptr, window_not_aligned},
    {10, "window_to_a_reset_in_flight", kNoRing, nullptr, window_to_a_reset_in_flight},
};

}  // namespace

Cases function_cases() {
    return cases(kCases);
}

}  // namespace guest
