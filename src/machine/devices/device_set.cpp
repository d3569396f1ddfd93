// SPDX-License-Identifier: Apache-2.0
#include "machine/devices/device_set.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "config/device_name.hpp"
#include "config/limits.hpp"
#include "machine/devices/kinds.hpp"
#include "vmm/error_record.hpp"
#include "vmm/log.hpp"

namespace vmm::machine {

// A configuration that is let through must not fail here.
static_assert(config::kMaxPciDevices == (pci::kSlots - std::size_t{1}) * pci::kFunctions);

bool DeviceSet::wanted(const VmConfig& config) {
    return std::ranges::any_of(kDeviceKinds, [&config](const DeviceKind* kind) {
        return !kind->configured(config).empty();
    });
}

Result<std::unique_ptr<DeviceSet>> DeviceSet::create(const DeviceSetParts& parts) {
    auto released = VMM_TRY(EventFd::create());
    std::unique_ptr<DeviceSet> made{new DeviceSet{parts, std::move(released)}};
    for (const DeviceKind* const kind : kDeviceKinds)
        for (auto& wanted : kind->configured(parts.config))
            VMM_TRY(made->make(std::move(wanted)));
    return made;
}

Result<> DeviceSet::make(NewDevice wanted) {
    auto made = VMM_TRY(wanted.make(wanted.id, device_parts_));
    members_.push_back({std::move(wanted.id), std::move(made.device), made.face});
    return {};
}

Result<> DeviceSet::make_host_bridge(const pci::Windows& windows) {
    pci::HostBridgeParts parts{.windows = windows,
                               .mmio = parts_.mmio,
                               .io = parts_.io,
                               .lines = {},
                               .expected = members_.size()};
    for (unsigned i = 0; i < pci::kPins; ++i) {
        lines_[i] = VMM_TRY(parts_.vm.irq_line(parts_.lines[i]));
        parts.lines[i] = lines_[i].get();
        parts.line_numbers[i] = static_cast<std::uint8_t>(parts_.lines[i]);
    }
    host_bridge_ = std::make_unique<pci::HostBridge>(parts);
    for (const auto& member : members_)
        VMM_TRY(host_bridge_->add(member.device->endpoint()));
    return host_bridge_->assign_addresses();
}

void DeviceSet::look_at_disks(Answer answer) {
    std::vector<DiskSizes::Disk> disks;
    for (const auto& member : members_)
        if (auto* const* const disk = std::get_if<virtio_blk::Blk*>(&member.face))
            disks.push_back({member.id, *disk});
    if (disks.empty())
        return answer({});
    if (!sizes_) {
        auto made = DiskSizes::create(parts_.loop, std::move(disks), released_);
        if (!made) {  // a signal has nobody to tell
            log::warn("the sizes of disks stay as they were: ", record_of(made.error()));
            return answer(std::unexpected(std::move(made.error())));
        }
        sizes_ = *std::move(made);
    }
    sizes_->look(std::move(answer));
}

virtio_console::Console* DeviceSet::console() const noexcept {
    return console_of(config::kConsoleName);
}

virtio_console::Console* DeviceSet::console_ports() const noexcept {
    return console_of(config::kConsolePortsName);
}

virtio_console::Console* DeviceSet::console_of(std::string_view id) const noexcept {
    for (const auto& member : members_)
        if (auto* const* const console = std::get_if<virtio_console::Console*>(&member.face);
            console != nullptr && member.id == id)
            return *console;
    return nullptr;
}

void DeviceSet::ask_reset() noexcept {
    for (const auto& member : members_)
        member.device->ask_reset();
}

std::vector<std::string> DeviceSet::busy() const {
    std::vector<std::string> names;
    for (const auto& member : members_)
        if (!member.device->released())
            names.push_back(member.id);
    return names;
}

void DeviceSet::finish_reset() noexcept {
    for (const auto& member : members_)
        member.device->finish_reset();
    host_bridge_->reset();
}

void DeviceSet::ask_end() noexcept {
    ask_reset();
    if (sizes_)
        sizes_->end();
}

std::vector<std::string> DeviceSet::busy_at_end() const {
    auto names = busy();
    const std::string* const disk = sizes_ ? sizes_->busy() : nullptr;
    if (disk != nullptr && std::ranges::find(names, *disk) == names.end())
        names.push_back(*disk);
    return names;
}

}  // namespace vmm::machine
