// SPDX-License-Identifier: Apache-2.0
#include "machine/devices/device_set.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "config/kinds/kinds.hpp"
#include "config/limits.hpp"
#include "machine/devices/kinds.hpp"
#include "vmm/error_record.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm::machine {

// A configuration that is let through must not fail here.
static_assert(config::kLastPciSlot == pci::kSlots - 1);
static_assert(config::kMaxPciDevices == (pci::kSlots - std::size_t{1}) * pci::kFunctions);

Result<std::unique_ptr<DeviceSet>> DeviceSet::create(const DeviceSetParts& parts) {
    auto released = VMM_TRY(EventFd::create());
    std::unique_ptr<DeviceSet> made{new DeviceSet{parts, std::move(released)}};
    for (const DeviceKind& kind : kDeviceKinds)
        for (auto& wanted : kind.configured(parts.config))
            VMM_TRY(made->make(std::move(wanted)));
    return made;
}

Result<> DeviceSet::make(NewDevice wanted) {
    auto made = VMM_TRY(wanted.make(wanted.id, device_parts_));
    auto member = std::make_shared<Member>();
    member->id = std::move(wanted.id);
    member->device = std::move(made.device);
    member->face = made.face;
    member->slot = wanted.slot;
    members_.push_back(std::move(member));
    return {};
}

Result<> DeviceSet::make_host_bridge(const pci::Windows& windows) {
    pci::HostBridgeParts parts{.windows = windows,
                               .mmio = parts_.mmio,
                               .io = parts_.io,
                               .memory = &parts_.layout,
                               .lines = {},
                               .expected = members_.size()};
    for (unsigned i = 0; i < pci::kPins; ++i) {
        lines_[i] = VMM_TRY(parts_.vm.irq_line(parts_.lines[i]));
        parts.lines[i] = lines_[i].get();
        parts.line_numbers[i] = static_cast<std::uint8_t>(parts_.lines[i]);
    }
    host_bridge_ = std::make_unique<pci::HostBridge>(parts);
    for (const bool has_slot : {true, false})  // free ones are what those leave
        for (const auto& member : members_)
            if (member->slot.has_value() == has_slot)
                member->where =
                    VMM_TRY(host_bridge_->add(member->device->endpoint(), member->slot));
    return host_bridge_->assign_addresses();
}

void DeviceSet::prepare() noexcept {
    for (const auto& member : members_)
        member->device->prepare();
}

void DeviceSet::look_at_disks(Answer answer) {
    std::vector<DiskSizes::Disk> disks;
    for (const auto& member : members_)
        if (auto* const* const disk = std::get_if<virtio_blk::Blk*>(&member->face);
            disk != nullptr && member->is_plugged())
            disks.push_back({member->id, *disk});
    if (disks.empty())
        return answer({});
    if (!sizes_) {
        auto made = DiskSizes::create(parts_.loop, released_);
        if (!made) {  // a signal has nobody to tell
            log::warn("the sizes of disks stay as they were: ", record_of(made.error()));
            return answer(std::unexpected(std::move(made.error())));
        }
        sizes_ = *std::move(made);
    }
    sizes_->look(std::move(disks), std::move(answer));
}

virtio_console::Console* DeviceSet::console() const noexcept {
    return console_of(config::kConsole.name);
}

virtio_console::Console* DeviceSet::console_ports() const noexcept {
    return console_of(config::kConsolePorts.name);
}

virtio_console::Console* DeviceSet::console_of(std::string_view id) const noexcept {
    for (const auto& member : members_)
        if (auto* const* const console = std::get_if<virtio_console::Console*>(&member->face);
            console != nullptr && member->id == id)
            return *console;
    return nullptr;
}

Result<> DeviceSet::add(NewDevice device) {
    const auto has_id = [&device](const auto& member) { return member->id == device.id; };
    if (std::ranges::any_of(members_, has_id))
        return std::unexpected(
            Error{ErrorKind::Config, cat("there is a device with the id '", device.id, "' already")}
                .hint("Give it another id."));
    VMM_TRY(make(std::move(device)));
    auto& member = *members_.back();
    auto where = host_bridge_->plug(member.device->endpoint(), member.slot, slots_asked_for());
    if (!where) {
        auto failed = std::move(where.error()).context(cat("put ", member.id, " on the bus"));
        members_.pop_back();
        return std::unexpected(std::move(failed));
    }
    member.where = *where;
    member.device->prepare();
    log::info(member.id, ": added in PCI slot ", member.where.slot);
    if (parts_.hotplug != nullptr)
        parts_.hotplug->device_came(member.where);
    return {};
}

/// A guest that lets one of these go takes everything that is in it.
pci::SlotSet DeviceSet::slots_asked_for() const noexcept {
    pci::SlotSet slots = 0;
    for (const auto& member : members_)
        if (member->stage == Stage::Asked)
            slots |= pci::SlotSet{1} << member->where.slot;
    return slots;
}

std::optional<pci::Address> DeviceSet::find(std::string_view id) const noexcept {
    for (const auto& member : members_)
        if (member->id == id && member->is_plugged())
            return member->where;
    return std::nullopt;
}

Result<> DeviceSet::may_go(const Member& member, Removal how) const {
    if (!member.is_plugged())
        return {};
    if (std::holds_alternative<virtio_console::Console*>(member.face))
        return std::unexpected(
            Error{ErrorKind::Config, cat("'", member.id, "' cannot be removed")}.hint(
                "Consoles stay for as long as the machine runs."));
    if (!host_bridge_->can_unplug(member.device->endpoint()))
        return std::unexpected(
            Error{ErrorKind::Config, cat("'", member.id,
                                         "' shares its PCI slot with others, which "
                                         "the guest would not find without it")}
                .hint("Remove these first."));
    if (how == Removal::WithConsent && parts_.hotplug == nullptr)
        return std::unexpected(Error{
            ErrorKind::Config, cat("the guest cannot be asked to let go of '", member.id, "'")}
                                   .hint("Remove it without the guest's consent."));
    if (how == Removal::WithConsent && shares_slot(member))
        return std::unexpected(
            Error{ErrorKind::Config, cat("'", member.id,
                                         "' shares its PCI slot with others, which "
                                         "the guest would have to let go with it")}
                .hint("Remove it without the guest's consent."));
    return {};
}

bool DeviceSet::shares_slot(const Member& member) const {
    return std::ranges::any_of(members_, [&member](const auto& other) {
        return other.get() != &member && other->is_plugged() &&
               other->where.slot == member.where.slot;
    });
}

void DeviceSet::remove(std::string_view id, Removal how, Answer answer) {
    const auto found = std::ranges::find(members_, id, [](const auto& each) { return each->id; });
    if (found == members_.end())
        return answer(std::unexpected(
            Error{ErrorKind::Config, cat("there is no device with the id '", id, "'")}));
    const auto& member = *found;
    if (const auto refused = may_go(*member, how); !refused)
        return answer(refused);
    member->answers.push_back(std::move(answer));
    if (!member->is_plugged())  // it is on its way already
        return limit_wait(member);
    if (how == Removal::WithConsent) {
        member->stage = Stage::Asked;
        return parts_.hotplug->ask_for_device(member->where);
    }
    unplug(member);
    step();
}

// Two phases, as whoever is inside of the device must not notice: first nobody finds it any more,
// then, when each vCPU has left it, what is under way there comes to its end.
void DeviceSet::unplug(const std::shared_ptr<Member>& member) {
    host_bridge_->unplug(member->device->endpoint());
    if (parts_.hotplug != nullptr)
        parts_.hotplug->device_went(member->where);
    member->stage = Stage::Leaving;
    member->grace_period = parts_.vcpus.begin_grace_period(released_);
    limit_wait(member);
}

void DeviceSet::limit_wait(const std::shared_ptr<Member>& member) {
    member->limit = std::make_unique<boost::asio::steady_timer>(
        parts_.loop, std::chrono::seconds{parts_.config.stop_timeout});
    member->limit->async_wait(
        [this, weak = std::weak_ptr{member}](boost::system::error_code cancelled) {
            const auto waited_for = weak.lock();
            if (!cancelled && waited_for)
                give_up_waiting(*waited_for);
        });
}

void DeviceSet::give_up_waiting(Member& member) {
    auto error =
        Error{ErrorKind::Os,
              cat("'", member.id, "' did not stop within ", parts_.config.stop_timeout,
                  " s (--stop-timeout): the host does not answer what the guest asked of "
                  "it")}
            .hint("The guest no longer has it. Its id is free once the host has answered.");
    answer_all(member, std::unexpected(std::move(error)));
}

void DeviceSet::answer_all(Member& member, const Result<>& done) {
    for (auto& answer : std::exchange(member.answers, {}))
        answer(done);
}

bool DeviceSet::is_idle(const Member& member) const {
    if (!member.device->released())
        return false;
    auto* const* const disk = std::get_if<virtio_blk::Blk*>(&member.face);
    return disk == nullptr || !sizes_ || sizes_->forget(**disk);
}

// The host's side can take its time even when nothing is at work there: passt has to end, and
// close() of a file on a network writes what is left.
void DeviceSet::free(Member& member) {
    member.stage = Stage::Freeing;
    const auto go = [this, &member]() noexcept {
        member.device.reset();
        member.freed = true;
        released_.signal();
    };
    auto made = make_thread({.kind = ThreadKind::Helper, .name = "removal"}, go);
    if (made)
        member.freeing = std::move(*made);
    else
        go();  // then the loop has to wait
}

bool DeviceSet::has_gone(Member& member) {
    if (member.stage == Stage::Leaving && parts_.vcpus.grace_period_over(member.grace_period)) {
        member.stage = Stage::Draining;
        member.device->ask_reset();
    }
    if (member.stage == Stage::Draining && is_idle(member))
        free(member);
    return member.stage == Stage::Freeing && member.freed;
}

void DeviceSet::step() {
    for (const auto& member : members_)
        if (member->stage == Stage::Asked && parts_.hotplug->has_let_go(member->where))
            unplug(member);
    // An answer may ask for something else at once: members are looked for anew after each.
    for (;;) {
        const auto found = std::ranges::find_if(
            members_, [this](const auto& member) { return has_gone(*member); });
        if (found == members_.end())
            return;
        const auto member = std::move(*found);
        members_.erase(found);
        member->freeing = {};  // waits for it
        log::info(member->id, ": removed");
        answer_all(*member, {});
    }
}

void DeviceSet::ask_reset() {
    for (const auto& member : members_) {
        // A guest that starts anew will not answer any more, and uses none of its devices.
        if (member->stage == Stage::Asked)
            unplug(member);
        if (member->is_alive())
            member->device->ask_reset();
    }
}

std::vector<std::string> DeviceSet::names_of(bool (*which)(const Member&)) const {
    std::vector<std::string> names;
    for (const auto& member : members_)
        if (which(*member))
            names.push_back(member->id);
    return names;
}

std::vector<std::string> DeviceSet::busy() const {
    return names_of([](const Member& each) { return each.is_alive() && !each.device->released(); });
}

void DeviceSet::finish_reset() noexcept {
    for (const auto& member : members_)
        if (member->is_plugged())
            member->device->finish_reset();
    host_bridge_->reset();
    if (!std::ranges::all_of(members_, [](const auto& each) { return each->is_plugged(); }))
        released_.signal();  // step() has something to do
}

void DeviceSet::ask_pause() noexcept {
    for (const auto& member : members_)
        if (member->is_alive())
            member->device->ask_pause();
}

std::vector<std::string> DeviceSet::not_quiet() const {
    return names_of([](const Member& each) { return each.is_alive() && !each.device->quiet(); });
}

void DeviceSet::resume() noexcept {
    for (const auto& member : members_)
        if (member->is_plugged())
            member->device->resume();
}

void DeviceSet::ask_end() {
    ask_reset();
    if (sizes_)
        sizes_->end();
}

std::vector<std::string> DeviceSet::busy_at_end() const {
    auto names = names_of([](const Member& each) {
        return each.is_alive() ? !each.device->released() : !each.freed;
    });
    const auto disk = sizes_ ? sizes_->busy() : std::nullopt;
    if (disk && std::ranges::find(names, *disk) == names.end())
        names.push_back(*disk);
    return names;
}

}  // namespace vmm::machine
