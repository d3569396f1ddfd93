// SPDX-License-Identifier: Apache-2.0
#include "pci/host_bridge.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "vmm/assert.hpp"
#include "vmm/log.hpp"
#include "vmm/mutex.hpp"
#include "vmm/text.hpp"

namespace vmm::pci {
namespace {

constexpr unsigned kUsable = kSlots - 1;  // slot 0 is the bridge's alone
constexpr unsigned kHeaderType = 0x0e;
constexpr std::uint32_t kMultiFunction = 0x80;

// The bridge drivers know as "QEMU PCIe Host bridge": it has no registers of its own.
constexpr Identity kHostBridge{.vendor = 0x1b36,
                               .device = 0x0008,
                               .subsystem_vendor = 0x1af4,
                               .subsystem = 0x1100,
                               .class_code = 0x060000,
                               .revision = 0};

// A BAR smaller than a page still gets one for itself, so that a guest can map it alone.
constexpr std::uint64_t kSmallestBar = 4096;

constexpr std::uint16_t kBridgeStateVersion = 1;

constexpr std::uint64_t bar_space(const BarShape& shape) {
    return shape.kind == BarKind::Io ? shape.size : std::max(shape.size, kSmallestBar);
}

constexpr std::uint64_t aligned(std::uint64_t at, std::uint64_t to) {
    return (at + to - 1) / to * to;
}

Error no_room(const BarShape& shape) {
    return Error{ErrorKind::Config,
                 cat("no room for a PCI BAR of ", Hex{shape.size}, " bytes in the ",
                     shape.kind == BarKind::Io ? "I/O" : "memory", " window")}
        .hint("Attach fewer devices.");
}

Error no_place(SlotSet closed) {
    if (closed != 0)
        return Error{ErrorKind::Config,
                     "the only PCI slots with room are those that the guest is asked to let go of"}
            .hint("Try it again when the guest has answered.");
    return Error{ErrorKind::Config, cat("more than ", kUsable * kFunctions, " PCI devices")}.hint(
        "Attach fewer devices.");
}

// Configuration space is reached in naturally aligned bytes, words and double words.
constexpr bool legal(unsigned offset, AccessSize size) {
    return size != AccessSize::Qword && offset % static_cast<unsigned>(size) == 0;
}

}  // namespace

/// One of the four wires: high as long as any function on it is.
class HostBridge::SharedLine {
public:
    explicit SharedLine(IrqLine& line) : line_{line} {}

    void add(int change) noexcept {
        const std::scoped_lock held{mutex_};
        const bool was = high_ > 0;
        high_ += change;
        if (was != (high_ > 0))
            line_.set(high_ > 0);
    }

private:
    IrqLine& line_;
    RankedMutex<LockRank::PciLine> mutex_;
    int high_ = 0;  // how many functions
};

/// One function's end of a wire. The function serialises the calls.
class HostBridge::Pin final : public InterruptPin {
public:
    explicit Pin(SharedLine& line) : line_{line} {}

    void set(bool high) noexcept override {
        if (high == high_)
            return;
        high_ = high;
        line_.add(high ? 1 : -1);
    }

private:
    SharedLine& line_;
    bool high_ = false;
};

/// Memory mapped configuration space: 4 KiB for each function.
class HostBridge::Ecam final : public IoDevice {
public:
    explicit Ecam(HostBridge& bridge) : IoDevice{LockRank::PciConfigAccess}, bridge_{bridge} {}

    std::uint64_t read(Access access) noexcept override {
        const auto offset = static_cast<unsigned>(access.offset % 0x1000);
        if (!legal(offset, access.size))
            return kAllOnes;
        return bridge_.read(static_cast<unsigned>(access.offset / 0x1000), offset,
                            static_cast<unsigned>(access.size));
    }
    void write(Access access, std::uint64_t value) noexcept override {
        const auto offset = static_cast<unsigned>(access.offset % 0x1000);
        if (legal(offset, access.size))
            bridge_.write(static_cast<unsigned>(access.offset / 0x1000), offset,
                          static_cast<unsigned>(access.size), static_cast<std::uint32_t>(value));
    }
    void after_write() noexcept override { bridge_.settle(); }

private:
    HostBridge& bridge_;
};

/// Ports 0xcf8 (address, double words only) and 0xcfc to 0xcff (data).
class HostBridge::Cam final : public IoDevice {
public:
    explicit Cam(HostBridge& bridge) : IoDevice{LockRank::PciConfigAccess}, bridge_{bridge} {}

    std::uint64_t read(Access access) noexcept override {
        if (access.is(0, AccessSize::Dword))
            return address_;
        const auto target = decode(access);
        if (!target.ok)
            return kAllOnes;
        return bridge_.read(target.index, target.offset, static_cast<unsigned>(access.size));
    }
    void write(Access access, std::uint64_t value) noexcept override {
        if (access.is(0, AccessSize::Dword)) {
            address_ = static_cast<std::uint32_t>(value) & kWritable;
            return;
        }
        const auto target = decode(access);
        if (target.ok)
            bridge_.write(target.index, target.offset, static_cast<unsigned>(access.size),
                          static_cast<std::uint32_t>(value));
    }
    void after_write() noexcept override { bridge_.settle(); }
    void reset() noexcept { address_ = 0; }

    // 31 enable, 23:16 bus, 15:11 device, 10:8 function, 7:2 register
    static constexpr std::uint32_t kWritable = 0x80ff'fffc;
    // lock() held.
    std::uint32_t address() const noexcept { return address_; }
    void set_address(std::uint32_t to) noexcept { address_ = to; }

private:
    static constexpr std::uint32_t kEnable = 0x8000'0000;
    static constexpr unsigned kData = 4;

    struct Target {
        bool ok = false;
        unsigned index = 0;
        unsigned offset = 0;
    };

    Target decode(Access access) const noexcept {
        const bool other_bus = (address_ >> 16 & 0xff) != 0;
        if (access.offset < kData || (address_ & kEnable) == 0 || other_bus)
            return {};
        const auto offset = static_cast<unsigned>((address_ & 0xfc) + (access.offset - kData));
        return {legal(offset, access.size), address_ >> 8 & 0xff, offset};
    }

    HostBridge& bridge_;
    std::uint32_t address_ = 0;
};

HostBridge::HostBridge(const HostBridgeParts& parts)
    : parts_{parts},
      own_function_{kHostBridge},
      ecam_{std::make_unique<Ecam>(*this)},
      cam_{std::make_unique<Cam>(*this)} {
    for (unsigned i = 0; i < kPins; ++i)
        if (parts_.lines[i] != nullptr)
            lines_[i] = std::make_unique<SharedLine>(*parts_.lines[i]);
    take({}, own_function_);
}

HostBridge::~HostBridge() {
    for (const Seat* const seat : present_)
        seat->taken().disconnect_pin();
}

IoDevice& HostBridge::ecam() noexcept {
    return *ecam_;
}

IoDevice& HostBridge::cam() noexcept {
    return *cam_;
}

// Slot by slot as long as a slot has functions to share, after that a function of each slot.
std::optional<Address> HostBridge::free_place(unsigned share, SlotSet closed) const noexcept {
    const auto first_free = [&](unsigned from, unsigned to) -> std::optional<Address> {
        for (unsigned slot = 1; slot < kSlots; ++slot)
            for (unsigned function = from; function < to; ++function)
                if ((closed >> slot & 1) == 0 && at(slot, function) == nullptr)
                    return Address{.slot = static_cast<std::uint8_t>(slot),
                                   .function = static_cast<std::uint8_t>(function)};
        return std::nullopt;
    };
    auto found = first_free(0, share);
    for (unsigned function = share; !found && function < kFunctions; ++function)
        found = first_free(function, function + 1);
    return found;
}

Result<Address> HostBridge::place_for(std::optional<std::uint8_t> slot, unsigned share,
                                      SlotSet closed) const {
    if (!slot) {
        const auto found = free_place(share, closed);
        if (!found)
            return std::unexpected(no_place(closed));
        return *found;
    }
    if (*slot == 0 || *slot >= kSlots)
        return std::unexpected(
            Error{ErrorKind::Config, cat("PCI slot ", *slot, " is not for devices")}.hint(
                cat("Give a slot from 1 to ", kUsable, ".")));
    if (at(*slot, 0) != nullptr)
        return std::unexpected(Error{ErrorKind::Config, cat("PCI slot ", *slot, " is taken")}.hint(
            "Give another slot, or none."));
    return Address{.slot = *slot, .function = 0};
}

Result<Address> HostBridge::add(Endpoint& endpoint, std::optional<std::uint8_t> slot) {
    const auto share = static_cast<unsigned>((parts_.expected + kUsable - 1) / kUsable);
    const auto place = VMM_TRY(place_for(slot, std::clamp(share, 1u, kFunctions), 0));
    take(place, endpoint);
    return place;
}

void HostBridge::take(Address place, Endpoint& endpoint, std::span<const std::uint64_t> addresses) {
    const unsigned index = place.slot * kFunctions + place.function;
    Seat* seat = this->seat(index);
    if (seat == nullptr) {
        seat = made_.emplace_back(std::make_unique<Seat>()).get();
        seats_[index].store(seat, std::memory_order_release);
    }
    for (unsigned i = 0; i < addresses.size(); ++i)
        seat->bars[i].initial = addresses[i];
    present_.push_back(seat);
    endpoint.set_requester_id(requester_id(place));
    connect_pin(*seat, endpoint, place);
    seat->endpoint.store(&endpoint, std::memory_order_release);  // from here on it is found
}

void HostBridge::connect_pin(Seat& seat, Endpoint& endpoint, Address place) {
    const unsigned number = 1 + place.function % kPins;
    const unsigned line = line_of(place.slot, number);
    if (!endpoint.uses_intx() || lines_[line] == nullptr)
        return;
    seat.pin = std::make_unique<Pin>(*lines_[line]);
    endpoint.connect_pin(static_cast<std::uint8_t>(number), parts_.line_numbers[line], *seat.pin);
}

bool HostBridge::is_shared(unsigned slot) const noexcept {
    for (unsigned function = 1; function < kFunctions; ++function)
        if (at(slot, function) != nullptr)
            return true;
    return false;
}

// What function 0 of a slot says of it. An endpoint does not know its neighbours.
bool HostBridge::is_multi_function(unsigned index) const noexcept {
    return index % kFunctions == 0 && is_shared(index / kFunctions);
}

Result<> HostBridge::assign_addresses() {
    struct Want {
        Seat* seat;
        unsigned bar;
        BarShape shape;
        std::size_t order;
    };
    std::vector<Want> wants;
    for (Seat* const seat : present_)
        for (unsigned bar = 0; bar < kBaseAddresses; ++bar)
            if (const Bar& is = seat->taken().bars()[bar]; is.region != nullptr)
                wants.push_back({seat, bar, is.shape, wants.size()});
    // Largest first; equals in the order of the slots, so that the same machine looks the same
    // again.
    std::ranges::sort(wants, [](const Want& a, const Want& b) {
        return a.shape.size != b.shape.size ? a.shape.size > b.shape.size : a.order < b.order;
    });

    Windows left = parts_.windows;
    const auto take = [](Window& from, std::uint64_t size, std::uint64_t alignment) {
        const std::uint64_t skip = aligned(from.base, alignment) - from.base;
        if (skip > from.size || from.size - skip < size)
            return std::uint64_t{0};
        const std::uint64_t at = from.base + skip;
        from.base = at + size;
        from.size -= skip + size;
        return at;
    };
    for (const auto& [seat, bar, shape, order] : wants) {
        const bool io = shape.kind == BarKind::Io;
        const std::uint64_t size = bar_space(shape);
        std::uint64_t where = 0;
        if (shape.kind == BarKind::Memory64)
            where = take(left.memory64, size, size);
        if (where == 0)
            where = take(io ? left.io : left.memory32, size, size);
        if (where == 0)
            return std::unexpected(no_room(shape));
        seat->bars[bar].initial = where;
        seat->taken().set_initial_address(bar, where);
    }
    return {};
}

// While vCPUs run.

Result<Address> HostBridge::plug(Endpoint& endpoint, std::optional<std::uint8_t> slot,
                                 SlotSet closed) {
    const std::scoped_lock held{layout_lock_};
    const auto place = VMM_TRY(place_for(slot, 1, closed));
    std::array<std::uint64_t, kBaseAddresses> addresses{};
    auto taken_io = taken_ranges(true);
    auto taken_memory = taken_ranges(false);
    for (unsigned i = 0; i < kBaseAddresses; ++i) {
        const Bar& bar = endpoint.bars()[i];
        if (bar.region == nullptr)
            continue;
        const bool io = bar.shape.kind == BarKind::Io;
        const auto at = free_range(bar.shape, io ? taken_io : taken_memory);
        if (!at)
            return std::unexpected(no_room(bar.shape));
        addresses[i] = *at;
    }
    for (unsigned i = 0; i < kBaseAddresses; ++i)
        if (endpoint.bars()[i].region != nullptr)
            endpoint.set_initial_address(i, addresses[i]);
    take(place, endpoint, addresses);
    return place;
}

// Where a BAR is after a reset, and where it is now if the guest has moved it.
std::vector<HostBridge::Range> HostBridge::taken_ranges(bool io) const {
    std::vector<Range> taken;
    for (const Seat* const seat : present_)
        for (unsigned i = 0; i < kBaseAddresses; ++i) {
            const Bar& bar = seat->taken().bars()[i];
            if (bar.region == nullptr || (bar.shape.kind == BarKind::Io) != io)
                continue;
            const std::uint64_t last = bar_space(bar.shape) - 1;
            const auto& [initial, mapped, pieces] = seat->bars[i];
            taken.push_back({initial, initial + last});
            if (mapped && *mapped != initial)
                taken.push_back({*mapped, *mapped + last});
        }
    std::ranges::sort(taken, {}, &Range::base);
    return taken;
}

std::optional<std::uint64_t> HostBridge::free_range(const BarShape& shape,
                                                    std::vector<Range>& taken) const {
    const std::uint64_t size = bar_space(shape);
    const auto search = [&](const Window& window) -> std::optional<std::uint64_t> {
        std::uint64_t at = aligned(window.base, size);
        for (const Range& range : taken)
            if (range.last >= at && range.base <= at + (size - 1))
                at = aligned(range.last + 1, size);
        if (!GpaRange{Gpa{window.base}, window.size}.contains(Gpa{at}, size))
            return std::nullopt;
        return at;
    };
    auto found = shape.kind == BarKind::Memory64 ? search(parts_.windows.memory64) : std::nullopt;
    if (!found)
        found = search(shape.kind == BarKind::Io ? parts_.windows.io : parts_.windows.memory32);
    if (found) {
        taken.push_back({*found, *found + (size - 1)});
        std::ranges::sort(taken, {}, &Range::base);
    }
    return found;
}

void HostBridge::unplug(Endpoint& endpoint) noexcept {
    const std::scoped_lock held{layout_lock_};
    const auto found = std::ranges::find_if(
        present_, [&](const Seat* each) { return &each->taken() == &endpoint; });
    if (found == present_.end())
        return;
    Seat& seat = **found;
    present_.erase(found);
    seat.endpoint.store(nullptr, std::memory_order_release);
    {
        const std::scoped_lock registers{endpoint.lock()};
        endpoint.reset();
    }
    // Whatever the registers say: a vCPU that is still inside may write to them again.
    for (unsigned i = 0; i < kBaseAddresses; ++i)
        unmap(seat, endpoint, i);
    for (Seat* const other : present_)  // that it may have lain on top of
        map_wanted(*other);
    endpoint.disconnect_pin();
    if (const auto pin = std::move(seat.pin))
        pin->set(false);
}

bool HostBridge::can_unplug(const Endpoint& endpoint) const noexcept {
    for (unsigned slot = 1; slot < kSlots; ++slot)
        if (at(slot, 0) == &endpoint)
            return !is_shared(slot);
    return &endpoint != &own_function_;
}

std::uint32_t HostBridge::read(unsigned index, unsigned offset, unsigned size) noexcept {
    const Seat* const seat = this->seat(index);
    Endpoint* const endpoint = seat == nullptr ? nullptr : seat->endpoint.load();
    if (endpoint == nullptr)
        return ~std::uint32_t{0};  // master abort
    std::uint32_t value = 0;
    {
        const std::scoped_lock held{endpoint->lock()};
        value = endpoint->read_config(offset, size);
    }
    if (offset <= kHeaderType && kHeaderType < offset + size && is_multi_function(index))
        value |= kMultiFunction << (8 * (kHeaderType - offset));
    return value;
}

void HostBridge::write(unsigned index, unsigned offset, unsigned size,
                       std::uint32_t value) noexcept {
    Seat* const seat = this->seat(index);
    Endpoint* const endpoint = seat == nullptr ? nullptr : seat->endpoint.load();
    if (endpoint == nullptr)
        return;
    {
        const std::scoped_lock held{endpoint->lock()};
        endpoint->write_config(offset, size, value);
    }
    seat->written.store(true, std::memory_order_release);
    unsettled_.store(true, std::memory_order_release);
}

void HostBridge::reset() noexcept {
    cam_->reset();
    for (Seat* const seat : present_) {
        const std::scoped_lock held{seat->taken().lock()};
        seat->taken().reset();
    }
    settle_all();
}

// Registers have changed without a write of the guest.
void HostBridge::settle_all() noexcept {
    for (Seat* const seat : present_)
        seat->written.store(true, std::memory_order_release);
    unsettled_.store(true, std::memory_order_release);
    settle();
}

void HostBridge::save(StateWriter& to) {
    const std::scoped_lock held{cam_->lock()};
    const StateWriter::Section section{to, kBridgeStateVersion};
    own_function_.save(to);
    to.put(cam_->address());
}

Result<> HostBridge::restore(StateReader& from) {
    StateReader state = VMM_TRY(from.section("PCI host bridge", kBridgeStateVersion));
    {
        const std::scoped_lock ports{cam_->lock()};
        const std::scoped_lock registers{own_function_.lock()};
        ApplyState apply = VMM_TRY(own_function_.read_state(state));
        const auto address = state.get<std::uint32_t>("configuration address");
        state.require((address & ~Cam::kWritable) == 0, "configuration address",
                      "has bits that a guest cannot write");
        VMM_TRY(state.done());
        apply();
        cam_->set_address(address);
    }
    settle_all();
    return {};
}

// The lock is taken before the flag is looked at: a vCPU whose write another one is settling must
// not run on before that is done.
void HostBridge::settle() noexcept {
    const std::scoped_lock held{layout_lock_};
    if (!unsettled_.exchange(false, std::memory_order_acq_rel))
        return;
    // First everything that goes, then everything that comes: two BARs may change places, and one
    // that lay on top of another appears when that one leaves.
    for (Seat* const seat : present_)
        unmap_stale(*seat);
    for (Seat* const seat : present_)
        map_wanted(*seat);
    for (Seat* const seat : present_)
        if (seat->written.exchange(false, std::memory_order_acq_rel))
            seat->taken().after_config_write();
}

bool HostBridge::inside_window(const BarShape& shape, std::uint64_t at) const noexcept {
    const auto holds = [&](const Window& window) {
        return GpaRange{Gpa{window.base}, window.size}.contains(Gpa{at}, shape.size);
    };
    if (shape.kind == BarKind::Io)
        return holds(parts_.windows.io);
    return holds(parts_.windows.memory32) || holds(parts_.windows.memory64);
}

// Where the guest wants the BAR to be, if that is a place where a BAR can be.
std::optional<std::uint64_t> HostBridge::wanted(Endpoint& endpoint, unsigned bar) const noexcept {
    std::optional<std::uint64_t> at;
    {
        const std::scoped_lock held{endpoint.lock()};
        at = endpoint.decoded_at(bar);
    }
    if (at && !inside_window(endpoint.bars()[bar].shape, *at))
        return std::nullopt;
    return at;
}

IoBus& HostBridge::bus_of(const BarShape& shape) const noexcept {
    return shape.kind == BarKind::Io ? parts_.io : parts_.mmio;
}

void HostBridge::unmap(Seat& seat, Endpoint& endpoint, unsigned bar) noexcept {
    Placed& placed = seat.bars[bar];
    if (!placed.mapped)
        return;
    const Bar& is = endpoint.bars()[bar];
    endpoint.bar_unmapped(bar);
    while (placed.pieces > 0) {
        const auto& [offset, memory] = is.memory[--placed.pieces];
        parts_.memory->remove(memory.at(Gpa{*placed.mapped + offset}));
    }
    bus_of(is.shape).unmap(*placed.mapped);
    placed.mapped = std::nullopt;
}

// The BAR has its range on the bus, so no other memory is there.
void HostBridge::map_memory(const Bar& bar, Placed& placed) noexcept {
    if (parts_.memory == nullptr || !placed.mapped)
        return;
    const std::uint64_t at = *placed.mapped;
    for (const auto& [offset, memory] : bar.memory) {
        const auto added = parts_.memory->add(memory.at(Gpa{at + offset}));
        if (!added) {
            if (!std::exchange(reported_, true))
                log::warn("the guest reaches device memory by exits: ", added.error().one_line());
            return;
        }
        ++placed.pieces;
    }
}

void HostBridge::unmap_stale(Seat& seat) noexcept {
    for (unsigned i = 0; i < kBaseAddresses; ++i)
        if (seat.bars[i].mapped && wanted(seat.taken(), i) != seat.bars[i].mapped)
            unmap(seat, seat.taken(), i);
}

void HostBridge::map_wanted(Seat& seat) noexcept {
    Endpoint& endpoint = seat.taken();
    for (unsigned i = 0; i < kBaseAddresses; ++i) {
        const Bar& bar = endpoint.bars()[i];
        auto& mapped = seat.bars[i].mapped;
        if (bar.region == nullptr || mapped)
            continue;
        const auto where = wanted(endpoint, i);
        // On top of something else it is not decoded, and that is the guest's business alone.
        if (!where || !bus_of(bar.shape).map(*where, bar.shape.size, *bar.region))
            continue;
        mapped = where;
        map_memory(bar, seat.bars[i]);
        endpoint.bar_mapped(i, *where);
    }
}

}  // namespace vmm::pci
