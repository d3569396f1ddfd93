// SPDX-License-Identifier: Apache-2.0
#include "fake/vm.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "vmm/text.hpp"

namespace vmm::fake {
namespace {

std::uint64_t number(const Bytes& bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = std::min<std::size_t>(bytes.size(), 8); i-- > 0;)
        value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
    return value;
}

bool same_place(const MemoryRegion& a, const MemoryRegion& b) {
    return a.range.first == b.range.first && a.range.size == b.range.size;
}

bool overlap(const MemoryRegion& a, const MemoryRegion& b) {
    return a.range.contains(b.range.first, 1) || b.range.contains(a.range.first, 1);
}

}  // namespace

class Vm::Line final : public IrqLine {
public:
    Line(Vm& vm, hv::Gsi pin) : vm_{vm}, pin_{pin} {}
    ~Line() override { Line::set(false); }
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;

    void set(bool high) noexcept override {
        const std::scoped_lock lock{vm_.mutex_};
        if (std::exchange(high_, high) == high)
            return;
        auto& lines = vm_.lines_high_[pin_];
        const bool was_high = lines > 0;
        lines += high ? 1 : -1;
        if (was_high != (lines > 0))
            vm_.level_changes_.push_back({pin_, high});
    }

private:
    Vm& vm_;
    const hv::Gsi pin_;
    bool high_ = false;
};

class Vm::Vector final : public MsiVector {
public:
    Vector(Vm& vm, EventFd event) : vm_{vm}, event_{std::move(event)} {}
    ~Vector() override {
        const std::scoped_lock lock{vm_.mutex_};
        std::erase(vm_.vectors_, this);
    }
    Vector(const Vector&) = delete;
    Vector& operator=(const Vector&) = delete;

    Result<> unmask(MsiMessage message) override {
        const std::scoped_lock lock{vm_.mutex_};
        message_ = message;
        deliver();
        return {};
    }
    void mask() noexcept override {
        const std::scoped_lock lock{vm_.mutex_};
        message_.reset();
    }
    void signal() noexcept override {
        const std::scoped_lock lock{vm_.mutex_};
        event_.signal();
        deliver();
    }
    int fd() const noexcept override { return event_.fd(); }

    const std::optional<MsiMessage>& message() const { return message_; }

private:
    void deliver() {
        if (message_ && event_.drain())
            vm_.delivered_.push_back(*message_);
    }

    Vm& vm_;
    EventFd event_;
    std::optional<MsiMessage> message_;  ///< unmasked with it; under vm_.mutex_
};

void Vm::plan(std::uint32_t apic_id, std::vector<Step> steps) {
    const std::scoped_lock lock{mutex_};
    if (const auto made = vcpus_.find(apic_id); made != vcpus_.end()) {
        made->second->plan(std::move(steps));
        return;
    }
    auto& plan = plans_[apic_id];
    for (auto& step : steps)
        plan.push_back(std::move(step));
}

Vcpu* Vm::vcpu(std::uint32_t apic_id) const {
    const std::scoped_lock lock{mutex_};
    const auto made = vcpus_.find(apic_id);
    return made == vcpus_.end() ? nullptr : made->second;
}

bool Vm::ring(DoorbellAddress::Space space, std::uint64_t at, std::size_t size,
              std::uint64_t value) {
    const std::scoped_lock lock{mutex_};
    const auto bell = std::ranges::find_if(doorbells_, [&](const auto& entry) {
        const auto& [address, eventfd] = entry;
        return address.space == space && address.at == at &&
               (address.size == 0 || address.size == size) &&
               (!address.match || *address.match == value);
    });
    if (bell == doorbells_.end())
        return false;
    const std::uint64_t one = 1;
    return ::write(bell->second, &one, sizeof one) == sizeof one;
}

std::optional<Bytes> Vm::take(const Step& step) {
    bool taken = false;
    if (const auto* read = std::get_if<MmioRead>(&step))
        return read_memory(*read);
    if (const auto* store = std::get_if<MmioWrite>(&step))
        taken = write_memory(*store) || ring(DoorbellAddress::Space::Mmio, store->at.value(),
                                             store->data.size(), number(store->data));
    else if (const auto* out = std::get_if<Out>(&step))
        taken = ring(DoorbellAddress::Space::Port, out->port, out->data.size(), number(out->data));
    return taken ? std::optional{Bytes{}} : std::nullopt;
}

const MemoryRegion* Vm::region_with(Gpa at, std::size_t length) const {
    const auto region = std::ranges::find_if(
        memory_, [&](const auto& known) { return known.host && known.range.contains(at, length); });
    return region == memory_.end() ? nullptr : &*region;
}

std::optional<Bytes> Vm::read_memory(const MmioRead& read) const {
    const std::scoped_lock lock{mutex_};
    const auto* const region = region_with(read.at, read.length);
    if (!region)
        return std::nullopt;
    const auto* const from = region->host + (read.at - region->range.first);
    return Bytes(from, from + read.length);
}

bool Vm::write_memory(const MmioWrite& write) {
    const std::scoped_lock lock{mutex_};
    const auto* const region = region_with(write.at, write.data.size());
    if (!region || region->kind == MemoryKind::Rom)
        return false;
    std::ranges::copy(write.data, region->host + (write.at - region->range.first));
    return true;
}

void Vm::set_supported_cpuid(std::vector<hv::x86::CpuidEntry> entries) {
    const std::scoped_lock lock{mutex_};
    supported_cpuid_ = std::move(entries);
}

std::vector<MemoryRegion> Vm::ram() const {
    const std::scoped_lock lock{mutex_};
    auto ram = memory_;
    std::erase_if(ram, [](const auto& region) { return region.kind != MemoryKind::Ram; });
    return ram;
}

std::vector<Vm::LevelChange> Vm::level_changes() const {
    const std::scoped_lock lock{mutex_};
    return level_changes_;
}

bool Vm::is_high(hv::Gsi pin) const {
    const std::scoped_lock lock{mutex_};
    const auto lines = lines_high_.find(pin);
    return lines != lines_high_.end() && lines->second > 0;
}

std::vector<std::pair<DoorbellAddress, int>> Vm::doorbells() const {
    const std::scoped_lock lock{mutex_};
    return doorbells_;
}

std::vector<MsiMessage> Vm::delivered() const {
    const std::scoped_lock lock{mutex_};
    return delivered_;
}

std::vector<MsiMessage> Vm::unmasked() const {
    const std::scoped_lock lock{mutex_};
    std::vector<MsiMessage> messages;
    for (const auto* vector : vectors_)
        if (const auto& message = vector->message())
            messages.push_back(*message);
    return messages;
}

bool Vm::has_interrupt_controller() const {
    const std::scoped_lock lock{mutex_};
    return interrupt_controller_;
}

unsigned Vm::resets() const {
    const std::scoped_lock lock{mutex_};
    return resets_;
}

Result<> Vm::memory_added(const MemoryRegion& region) {
    const std::scoped_lock lock{mutex_};
    if (std::ranges::any_of(memory_, [&](const auto& known) { return overlap(known, region); }))
        return std::unexpected(Error::os("KVM_SET_USER_MEMORY_REGION", EEXIST));
    memory_.push_back(region);
    return {};
}

void Vm::memory_removed(const MemoryRegion& region) noexcept {
    const std::scoped_lock lock{mutex_};
    std::erase_if(memory_, [&](const auto& known) { return same_place(known, region); });
}

Result<> Vm::privacy_changed(const MemoryRegion& /*region*/, GpaRange /*part*/, Privacy now) {
    if (now == Privacy::Shared)
        return {};
    return std::unexpected(Error::os("KVM_SET_MEMORY_ATTRIBUTES", ENOTTY));
}

Result<> Vm::connect(const DoorbellAddress& address, int eventfd) {
    const std::scoped_lock lock{mutex_};
    if (std::ranges::any_of(doorbells_, [&](const auto& bell) { return bell.first == address; }))
        return std::unexpected(Error::os("KVM_IOEVENTFD", EEXIST));
    doorbells_.emplace_back(address, eventfd);
    return {};
}

void Vm::disconnect(const DoorbellAddress& address, int eventfd) noexcept {
    const std::scoped_lock lock{mutex_};
    std::erase(doorbells_, std::pair{address, eventfd});
}

Result<std::unique_ptr<MsiVector>> Vm::allocate() {
    auto event = VMM_TRY(EventFd::create());
    auto vector = std::make_unique<Vector>(*this, std::move(event));
    const std::scoped_lock lock{mutex_};
    vectors_.push_back(vector.get());
    return vector;
}

Result<> Vm::create_interrupt_controller() {
    const std::scoped_lock lock{mutex_};
    if (std::exchange(interrupt_controller_, true))
        return std::unexpected(Error::os("KVM_CREATE_IRQCHIP", EEXIST));
    return {};
}

Result<> Vm::use_wide_apic_ids(std::uint32_t highest) {
    const std::scoped_lock lock{mutex_};
    highest_wide_apic_id_ = highest;
    return {};
}

std::optional<std::uint32_t> Vm::highest_wide_apic_id() const {
    const std::scoped_lock lock{mutex_};
    return highest_wide_apic_id_;
}

Result<std::unique_ptr<IrqLine>> Vm::irq_line(hv::Gsi gsi) {
    return std::make_unique<Line>(*this, gsi);
}

Result<std::unique_ptr<hv::x86::Vcpu>> Vm::create_vcpu(std::uint32_t apic_id) {
    const std::scoped_lock lock{mutex_};
    if (vcpus_.contains(apic_id))
        return std::unexpected(Error::os("KVM_CREATE_VCPU", EEXIST)
                                   .context(cat("there is a vCPU with APIC id ", apic_id)));
    auto vcpu = std::make_unique<Vcpu>(apic_id, [this](const Step& step) { return take(step); });
    vcpu->plan(std::move(plans_[apic_id]));
    plans_.erase(apic_id);
    vcpus_[apic_id] = vcpu.get();
    return vcpu;
}

Result<std::vector<hv::x86::CpuidEntry>> Vm::supported_cpuid() {
    const std::scoped_lock lock{mutex_};
    return supported_cpuid_;
}

Result<> Vm::reset() {
    const std::scoped_lock lock{mutex_};
    ++resets_;
    return {};
}

}  // namespace vmm::fake
