// SPDX-License-Identifier: Apache-2.0
#include "fake/vcpu.hpp"

#include <optional>
#include <type_traits>
#include <utility>

namespace vmm::fake {

Bytes little_endian(std::uint64_t value, std::size_t size) {
    Bytes bytes(size);
    for (auto& byte : bytes) {
        byte = static_cast<std::byte>(value);
        value >>= 8;
    }
    return bytes;
}

Step out(std::uint16_t port, std::uint64_t value, AccessSize size) {
    return Out{port, size, little_endian(value, static_cast<std::size_t>(size))};
}

void Vcpu::plan(std::vector<Step> steps) {
    const std::scoped_lock lock{mutex_};
    for (auto& step : steps)
        script_.push_back(std::move(step));
    changed_.notify_all();
}

std::vector<Bytes> Vcpu::answers() const {
    const std::scoped_lock lock{mutex_};
    return answers_;
}

bool Vcpu::wait_until_idle(std::chrono::milliseconds patience) const {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, patience, [this] { return idle_ && script_.empty(); });
}

Vcpu::Record Vcpu::record() const {
    const std::scoped_lock lock{mutex_};
    return record_;
}

void Vcpu::take_answer() {
    if (std::exchange(asks_, false))
        answers_.push_back(data_);
}

Result<hv::VmExit> Vcpu::run() {
    std::unique_lock lock{mutex_};
    take_answer();
    for (;;) {
        idle_ = true;
        changed_.notify_all();
        changed_.wait(lock, [this] { return kicked_ || !script_.empty(); });
        idle_ = false;
        if (std::exchange(kicked_, false)) {
            ++record_.interruptions;
            return hv::exit::Interrupted{};
        }
        auto step = std::move(script_.front());
        script_.pop_front();
        lock.unlock();  // what happens inside the guest may kick, plan, ring
        const bool inside = happens_inside(step);
        lock.lock();
        if (!inside)
            return perform(std::move(step));
    }
}

bool Vcpu::happens_inside(const Step& step) {
    if (const auto* action = std::get_if<Action>(&step)) {
        (*action)();
        return true;
    }
    auto taken = taker_ ? taker_(step) : std::nullopt;
    const bool inside = taken.has_value();
    if (inside && std::holds_alternative<MmioRead>(step)) {
        const std::scoped_lock lock{mutex_};
        answers_.push_back(*std::move(taken));
    }
    return inside;
}

Result<hv::VmExit> Vcpu::perform(Step step) {
    return std::visit(
        [this](auto& what) -> Result<hv::VmExit> {
            using T = std::remove_cvref_t<decltype(what)>;
            if constexpr (std::is_same_v<T, Out>) {
                data_ = std::move(what.data);
                return hv::exit::PortOut{what.port, what.size, data_};
            } else if constexpr (std::is_same_v<T, In>) {
                asks_ = true;
                data_.assign(static_cast<std::size_t>(what.size) * what.count, std::byte{0});
                return hv::exit::PortIn{what.port, what.size, data_};
            } else if constexpr (std::is_same_v<T, MmioWrite>) {
                data_ = std::move(what.data);
                return hv::exit::MmioWrite{what.at, data_};
            } else if constexpr (std::is_same_v<T, MmioRead>) {
                asks_ = true;
                data_.assign(what.length, std::byte{0});
                return hv::exit::MmioRead{what.at, data_};
            } else if constexpr (std::is_same_v<T, HostFailure>) {
                return std::unexpected(Error::os("KVM_RUN", what.os_error));
            } else if constexpr (std::is_same_v<T, Failure>) {
                failure_ = std::move(what.what);
                return hv::exit::Failed{failure_};
            } else if constexpr (std::is_same_v<T, Action>) {
                return hv::exit::Interrupted{};  // run() has done it
            } else {
                return what;
            }
        },
        step);
}

Result<bool> Vcpu::complete_io() {
    const std::scoped_lock lock{mutex_};
    take_answer();
    return true;
}

void Vcpu::kick() noexcept {
    const std::scoped_lock lock{mutex_};
    kicked_ = true;
    changed_.notify_all();
}

Result<> Vcpu::set_cpuid(std::span<const hv::x86::CpuidEntry> entries) {
    const std::scoped_lock lock{mutex_};
    record_.cpuid.assign(entries.begin(), entries.end());
    return {};
}

Result<> Vcpu::set_msrs(std::span<const hv::x86::Msr> msrs) {
    const std::scoped_lock lock{mutex_};
    record_.msrs.insert(record_.msrs.end(), msrs.begin(), msrs.end());
    return {};
}

Result<> Vcpu::set_registers(const hv::x86::Registers& registers) {
    const std::scoped_lock lock{mutex_};
    record_.registers = registers;
    return {};
}

Result<> Vcpu::set_system_registers(const hv::x86::SystemRegisters& registers) {
    const std::scoped_lock lock{mutex_};
    record_.system_registers = registers;
    return {};
}

Result<hv::x86::Registers> Vcpu::registers() {
    return record().registers;
}

Result<hv::x86::SystemRegisters> Vcpu::system_registers() {
    return record().system_registers;
}

Result<> Vcpu::reset() {
    const std::scoped_lock lock{mutex_};
    asks_ = false;
    record_.registers = {};
    record_.system_registers = {};
    record_.msrs.clear();
    ++record_.resets;
    return {};
}

}  // namespace vmm::fake
