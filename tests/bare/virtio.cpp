// SPDX-License-Identifier: Apache-2.0
#include "virtio.hpp"

namespace guest {
namespace {

constexpr u16 kVendor = 0x1af4;
constexpr u16 kFirstDevice = 0x1040;

}  // namespace

bool Virtio::find(u16 type, u16 number) {
    const auto id = static_cast<u16>(kFirstDevice + type);
    function = find_function(kVendor, id);
    for (u16 i = 0; i < number && function; ++i)
        function = find_function(kVendor, id, function);
    if (!function)
        return false;
    function.enable();
    parts = find_parts(function);
    return parts.common != 0 && parts.notify != 0;
}

bool Virtio::reset() const {
    set8(reg::kStatus, 0);
    for (const Deadline late; status() != 0;)
        if (late.over())
            return false;
    return true;
}

u64 Virtio::offered() const {
    set32(reg::kDeviceFeatureSelect, 1);
    const u64 high = get32(reg::kDeviceFeature);
    set32(reg::kDeviceFeatureSelect, 0);
    return high << 32 | get32(reg::kDeviceFeature);
}

void Virtio::accept(u64 features) const {
    set32(reg::kDriverFeatureSelect, 0);
    set32(reg::kDriverFeature, static_cast<u32>(features));
    set32(reg::kDriverFeatureSelect, 1);
    set32(reg::kDriverFeature, static_cast<u32>(features >> 32));
}

u64 Virtio::accepted() const {
    set32(reg::kDriverFeatureSelect, 1);
    const u64 high = get32(reg::kDriverFeature);
    set32(reg::kDriverFeatureSelect, 0);
    return high << 32 | get32(reg::kDriverFeature);
}

bool Virtio::begin(u64 features) const {
    if (!reset())
        return false;
    set8(reg::kStatus, status::kAcknowledge);
    set8(reg::kStatus, status::kAcknowledge | status::kDriver);
    accept(features);
    set8(reg::kStatus, status::kAcknowledge | status::kDriver | status::kFeaturesOk);
    return (status() & status::kFeaturesOk) != 0;
}

void Virtio::set_address(u32 which, u64 at) const {
    set32(which, static_cast<u32>(at));
    set32(which + 4, static_cast<u32>(at >> 32));
}

void Virtio::describe(u16 queue, const Ring& ring) const {
    select(queue);
    set16(reg::kQueueSize, ring.size());
    set_address(reg::kQueueDescriptors, ring.descriptors());
    set_address(reg::kQueueDriver, ring.driver());
    set_address(reg::kQueueDevice, ring.device());
}

void Virtio::enable(u16 queue) const {
    select(queue);
    set16(reg::kQueueEnable, 1);
}

}  // namespace guest
