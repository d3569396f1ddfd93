// SPDX-License-Identifier: Apache-2.0
#include "machine/vcpu_set.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <type_traits>
#include <utility>

#include "vmm/error_record.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm::machine {
namespace {

/// Answers one exit. A value means that this vCPU does not go on by itself.
struct ExitAnswer {
    BusReader& ports;
    BusReader& mmio;

    using Stop = std::optional<VcpuStop>;

    Stop operator()(const hv::exit::PortIn& in) const noexcept {
        const auto width = static_cast<std::size_t>(in.size);
        for (std::size_t done = 0; done + width <= in.data.size(); done += width)
            ports.read(in.port, in.data.subspan(done, width));
        return {};
    }
    Stop operator()(const hv::exit::PortOut& out) const noexcept {
        const auto width = static_cast<std::size_t>(out.size);
        for (std::size_t done = 0; done + width <= out.data.size(); done += width)
            ports.write(out.port, out.data.subspan(done, width));
        return {};
    }
    Stop operator()(const hv::exit::MmioRead& read) const noexcept {
        mmio.read(read.at.value(), read.data);
        return {};
    }
    Stop operator()(const hv::exit::MmioWrite& write) const noexcept {
        mmio.write(write.at.value(), write.data);
        return {};
    }
    Stop operator()(const hv::exit::Halt&) const noexcept { return {}; }
    Stop operator()(const hv::exit::Interrupted&) const noexcept { return {}; }
    Stop operator()(const hv::exit::TripleFault&) const {
        return VcpuStop{VcpuStop::Why::TripleFault, "the guest's CPU shut down (triple fault)", {}};
    }
    Stop operator()(const hv::exit::SystemEvent& event) const {
        switch (event.kind) {
            case hv::exit::SystemEvent::Kind::PowerOff:
                return VcpuStop{.why = VcpuStop::Why::PowerOff, .text = {}, .advice = {}};
            case hv::exit::SystemEvent::Kind::Reset:
                return VcpuStop{.why = VcpuStop::Why::Reset, .text = {}, .advice = {}};
            case hv::exit::SystemEvent::Kind::Crash:
                break;
        }
        return VcpuStop{VcpuStop::Why::Crash, "the guest reported a crash", {}};
    }
    Stop operator()(const hv::exit::Failed& failed) const {
        return VcpuStop{VcpuStop::Why::Failed, std::string{failed.what}, {}};
    }
};

VcpuStop stop_for(VcpuStop::Why why, const Error& error) {
    return {.why = why, .text = error.one_line(), .advice = error.advice()};
}

}  // namespace

VcpuSet::VcpuSet(Bus& ports, Bus& mmio, Report report)
    : ports_{ports}, mmio_{mmio}, report_{std::move(report)} {}

VcpuSet::~VcpuSet() {
    stop();
}

Result<> VcpuSet::make_first(std::span<hv::Vcpu* const> vcpus, Prepare prepare,
                             std::span<const std::vector<unsigned>> host_cpus) {
    prepare_ = std::move(prepare);
    host_cpus_ = host_cpus;
    vcpus_.assign(vcpus.begin(), vcpus.end());
    left_.assign(vcpus_.size(), 0);
    threads_.reserve(vcpus_.size());
    VMM_TRY(make_thread_of(0));
    if (!is_pinned(0))  // where it was made it would wait until this thread rests
        start_elsewhere(threads_[0].native_handle());
    return {};
}

bool VcpuSet::is_pinned(unsigned index) const {
    return index < host_cpus_.size() && !host_cpus_[index].empty();
}

Result<> VcpuSet::start() {
    if (!is_pinned(0))
        run_as_caller(threads_[0].native_handle());
    started_.count_down();
    for (unsigned index = 1; index < vcpus_.size(); ++index)
        VMM_TRY(make_thread_of(index));
    return {};
}

Result<> VcpuSet::make_thread_of(unsigned index) {
    threads_.push_back(VMM_TRY_OR(
        make_thread({.kind = ThreadKind::Vcpu,
                     .name = cat("vcpu", index),
                     .processors = is_pinned(index) ? host_cpus_[index] : std::vector<unsigned>{},
                     .confines_itself = true},
                    [this, index] { thread_main(index); }),
        cat("start the thread of vCPU ", index)));
    return {};
}

void VcpuSet::thread_main(unsigned index) {
    leave_restartable_sequences();
    BusReader ports{ports_};
    BusReader mmio{mmio_};
    if (const auto prepared = prepare_(index); !prepared) {
        hold();
        report_(index, stop_for(VcpuStop::Why::HostFailed, prepared.error()));
    }
    confine_this_thread(ThreadKind::Vcpu);
    started_.wait();
    do {
        run_until_unwanted(index, ports, mmio);
        finish_access(*vcpus_[index], ports, mmio);
    } while (park(index));
}

void VcpuSet::run_until_unwanted(unsigned index, BusReader& ports, BusReader& mmio) {
    auto& vcpu = *vcpus_[index];
    const ExitAnswer answer{ports, mmio};
    while (wanted_.load(std::memory_order_acquire) == Wanted::Run) {
        // Here it is in no device, and what it does next begins with a look at the buses' maps.
        if (period_.load(std::memory_order_acquire) != left_[index]) [[unlikely]]
            leave_devices(index);
        auto exit = vcpu.run();
        if (!exit) [[unlikely]] {
            hold();
            // KVM's word for a page of guest RAM that cannot be had.
            const bool no_page = exit.error().os_error() == EFAULT;
            report_(index, stop_for(no_page ? VcpuStop::Why::HostFailed : VcpuStop::Why::Failed,
                                    exit.error()));
            return;
        }
        if (auto stop = std::visit(answer, *exit)) [[unlikely]] {
            hold();
            report_(index, std::move(*stop));
            return;
        }
    }
}

// The guest must not see the access it just made done twice, or not at all, when its state is saved
// or replaced from here on. A wide access comes in a few parts; a string instruction may go on for
// as long as the guest likes, but its state is consistent between any two elements.
void VcpuSet::finish_access(hv::Vcpu& vcpu, BusReader& ports, BusReader& mmio) {
    constexpr int kMostParts = 16;
    for (int part = 0; part < kMostParts; ++part) {
        const auto done = vcpu.complete_io();
        if (!done)
            return log::warn("pending I/O of a vCPU could not be completed: ",
                             record_of(done.error()));
        if (*done)
            return;
        const auto exit = vcpu.run();  // gives the next part without entering the guest
        if (!exit || std::visit(ExitAnswer{ports, mmio}, *exit))
            return;
    }
}

bool VcpuSet::park(unsigned index) {
    std::unique_lock lock{mutex_};
    if (++parked_ == vcpus_.size())
        all_parked_.notify_all();
    left_[index] = kParked;
    tell_if_over();
    changed_.wait(lock, [this] { return wanted_.load(std::memory_order_relaxed) != Wanted::Park; });
    --parked_;
    const bool ends = wanted_.load(std::memory_order_relaxed) == Wanted::End;
    if (!ends)
        left_[index] = period_.load(std::memory_order_relaxed);
    // hold() takes no lock: it may be Park again already, and then this one comes back soon.
    return !ends;
}

void VcpuSet::leave_devices(unsigned index) {
    const std::lock_guard guard{mutex_};
    left_[index] = period_.load(std::memory_order_relaxed);
    tell_if_over();
}

void VcpuSet::tell_if_over() noexcept {
    const auto last = period_.load(std::memory_order_relaxed);
    if (period_over_ == nullptr ||
        std::ranges::any_of(left_, [last](std::uint64_t left) { return left < last; }))
        return;
    period_over_->signal();
    period_over_ = nullptr;
}

std::uint64_t VcpuSet::begin_grace_period(const EventFd& over) {
    std::uint64_t number = 0;
    {
        const std::lock_guard guard{mutex_};
        period_over_ = &over;
        number = period_.load(std::memory_order_relaxed) + 1;
        period_.store(number, std::memory_order_release);
        tell_if_over();
    }
    kick_all();
    return number;
}

bool VcpuSet::grace_period_over(std::uint64_t number) {
    const std::lock_guard guard{mutex_};
    return std::ranges::all_of(left_, [number](std::uint64_t left) { return left >= number; });
}

void VcpuSet::hold() noexcept {
    auto expected = Wanted::Run;  // an end that was asked for stays
    wanted_.compare_exchange_strong(expected, Wanted::Park, std::memory_order_release);
}

void VcpuSet::kick_all() noexcept {
    for (auto* const vcpu : vcpus_)
        vcpu->kick();
}

void VcpuSet::pause() {
    hold();
    kick_all();
    std::unique_lock lock{mutex_};
    all_parked_.wait(lock, [this] { return parked_ == vcpus_.size(); });
}

void VcpuSet::resume() {
    const std::lock_guard guard{mutex_};
    auto expected = Wanted::Park;
    wanted_.compare_exchange_strong(expected, Wanted::Run, std::memory_order_release);
    changed_.notify_all();
}

void VcpuSet::stop() {
    {
        const std::lock_guard guard{mutex_};
        wanted_.store(Wanted::End, std::memory_order_release);
        changed_.notify_all();
    }
    if (!started_.try_wait())
        started_.count_down();  // vCPU 0 ends without having entered the guest
    kick_all();
    threads_.clear();  // joins
}

}  // namespace vmm::machine
