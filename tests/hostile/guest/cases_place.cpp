// SPDX-License-Identifier: Apache-2.0
// Where rings lie: not in RAM, not aligned, over an end, on top of each other.
#include "lab.hpp"

namespace guest {
namespace {

enum class Area : u8 { Descriptors, Driver, Device };

u32 register_of(Area area) {
    constexpr u32 kRegisters[] = {reg::kQueueDescriptors, reg::kQueueDriver, reg::kQueueDevice};
    return kRegisters[static_cast<unsigned>(area)];
}

// To DRIVER_OK with one area of the queue elsewhere.
bool start_with(Lab& lab, Area area, u64 at) {
    if (!lab.negotiate(lab.features()))
        return false;
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    lab.device.set_address(register_of(area), at);
    lab.device.enable(lab.queue());
    lab.device.drive();
    return true;
}

void refused(Lab& lab, Area area, u64 at) {
    if (start_with(lab, area, at) && lab.expect_needs_reset())
        // Kicks of what does not run change nothing.
        for (unsigned i = 0; i < 4; ++i)
            lab.kick();
}

template <Area area>
void behind_ram(Lab& lab) {
    refused(lab, area, lab.ram.end);
}
template <Area area>
void over_the_end_of_ram(Lab& lab) {
    // The event suppression structures of a packed ring are smaller than anything else.
    refused(lab, area, lab.ram.end - (area == Area::Descriptors ? 16 : 0));
}
template <Area area>
void into_the_hole(Lab& lab) {
    refused(lab, area, lab.ram.low_end - (lab.packed() && area != Area::Descriptors ? 0 : 16));
}
template <Area area>
void in_its_own_bar(Lab& lab) {
    refused(lab, area, lab.device.function.bar());
}
template <Area area>
void in_the_message_controller(Lab& lab) {
    refused(lab, area, kMessageController);
}
template <Area area>
void at_the_top(Lab& lab) {
    refused(lab, area, ~u64{0} - 15);
}
template <Area area>
void not_aligned(Lab& lab) {
    if (lab.negotiate(lab.features()))
        refused(lab, area, lab.ring().driver() + 1);
}

// RAM that a kernel would not use, or none. Whatever the bytes there say is bounded by the ring's
// size.
void at_address_zero(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    lab.device.set_address(reg::kQueueDescriptors, 0);
    lab.device.set_address(reg::kQueueDriver, 0);
    lab.device.set_address(reg::kQueueDevice, 0);
    lab.device.enable(lab.queue());
    lab.device.drive();
    for (unsigned i = 0; i < 8; ++i)
        lab.kick();
}

void all_three_the_same(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    lab.device.set_address(reg::kQueueDriver, lab.ring().descriptors());
    lab.device.set_address(reg::kQueueDevice, lab.ring().descriptors());
    lab.device.enable(lab.queue());
    lab.device.drive();
    lab.submit(lab.request());
    for (unsigned i = 0; i < 8; ++i)
        lab.kick();
}

// The end of RAM is as good a place as any.
void last_bytes_of_ram(Lab& lab) {
    if (!lab.negotiate(lab.features()))
        return;
    const u64 size = lab.packed() ? 4 : 4 + 16 * 2;
    lab.ring().clear(lab.ring_kind, 16);
    lab.device.describe(lab.queue(), lab.ring());
    for (u64 at = lab.ram.end - size; at < lab.ram.end; at += 4)
        write32(at, 0);
    lab.device.set_address(reg::kQueueDriver, lab.ram.end - size);
    lab.device.enable(lab.queue());
    lab.device.drive();
    lab.expect(lab.device.needs_reset(), 0, "at the last bytes of RAM NEEDS_RESET is");
}

constexpr Case kCases[] = {
    {7, "descriptor_area_behind_ram", kBoth, nullptr, behind_ram<Area::Descriptors>},
    {7, "descriptor_area_over_the_end_of_ram", kBoth, nullptr,
     over_the_end_of_ram<Area::Descriptors>},
    {7, "descriptor_area_into_the_hole", kBoth, nullptr, into_the_hole<Area::Descriptors>},
    {7, "descriptor_area_at_the_top", kBoth, nullptr, at_the_top<Area::Descriptors>},
    {7, "descriptor_area_not_aligned", kBoth, nullptr, not_aligned<Area::Descriptors>},
    {36, "descriptor_area_in_its_own_bar", kBoth, nullptr, in_its_own_bar<Area::Descriptors>},
    {36, "descriptor_area_in_the_message_controller", kBoth, nullptr,
     in_the_message_controller<Area::Descriptors>},
    {7, "driver_area_behind_ram", kBoth, nullptr, behind_ram<Area::Driver>},
    {7, "driver_area_over_the_end_of_ram", kBoth, nullptr, over_the_end_of_ram<Area::Driver>},
    {7, "driver_area_into_the_hole", kBoth, nullptr, into_the_hole<Area::Driver>},
    {7, "driver_area_at_the_top", kBoth, nullptr, at_the_top<Area::Driver>},
    {7, "driver_area_not_aligned", kBoth, nullptr, not_aligned<Area::Driver>},
    {36, "driver_area_in_its_own_bar", kBoth, nullptr, in_its_own_bar<Area::Driver>},
    {36, "driver_area_in_the_message_controller", kBoth, nullptr,
     in_the_message_controller<Area::Driver>},
    {7, "device_area_behind_ram", kBoth, nullptr, behind_ram<Area::Device>},
    {7, "device_area_over_the_end_of_ram", kBoth, nullptr, over_the_end_of_ram<Area::Device>},
    {7, "device_area_into_the_hole", kBoth, nullptr, into_the_hole<Area::Device>},
    {7, "device_area_at_the_top", kBoth, nullptr, at_the_top<Area::Device>},
    {7, "device_area_not_aligned", kBoth, nullptr, not_aligned<Area::Device>},
    {36, "device_area_in_its_own_bar", kBoth, nullptr, in_its_own_bar<Area::Device>},
    {36, "device_area_in_the_message_controller", kBoth, nullptr,
     in_the_message_controller<Area::Device>},
    {7, "driver_area_in_the_last_bytes_of_ram", kBoth, nullptr, last_bytes_of_ram},
    {5, "ring_at_address_zero", kBoth, nullptr, at_address_zero},
    {36, "ring_areas_all_the_same", kBoth, nullptr, all_three_the_same},
};

}  // namespace

Cases place_cases() {
    return cases(kCases);
}

}  // namespace guest
