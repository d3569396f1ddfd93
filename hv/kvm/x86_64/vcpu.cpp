// SPDX-License-Identifier: Apache-2.0
#include "kvm/x86_64/vcpu.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>

#include "kvm/flex_array.hpp"
#include "kvm/host.hpp"
#include "kvm/x86_64/exits.hpp"
#include "kvm/x86_64/power_on.hpp"
#include "kvm/x86_64/state.hpp"
#include "vmm/text.hpp"

namespace vmm::kvm {
namespace {

using MsrArray = FlexArray<ListHeader, kvm_msr_entry>;

MsrArray to_kvm(std::span<const hv::x86::Msr> msrs) {
    MsrArray array{msrs.size()};
    array.header()->count = static_cast<std::uint32_t>(msrs.size());
    for (std::size_t i = 0; i < msrs.size(); ++i) {
        array.entries()[i].index = msrs[i].index;
        array.entries()[i].data = msrs[i].value;
    }
    return array;
}

std::set<std::uint32_t> known_msrs(const Handle& kvm) {
    using List = FlexArray<ShortListHeader, std::uint32_t>;
    constexpr auto kRequest = with_size(KVM_GET_MSR_INDEX_LIST, sizeof(ShortListHeader));
    List none{0};
    kvm.attempt(kRequest, none.header());  // E2BIG, and how many there are
    const auto count = none.header()->count;
    List all{count};
    all.header()->count = count;
    if (kvm.attempt(kRequest, all.header()) < 0)
        return {};
    const auto entries = all.entries().first(std::min(count, all.header()->count));
    return {entries.begin(), entries.end()};
}

/// Kernels before 6.5 know the MTRRs and do not list them.
bool is_mtrr(std::uint32_t index) {
    return (index >= 0x200 && index <= 0x26f) || index == 0x2ff;
}

}  // namespace

const HostFacts::Facts& HostFacts::get() {
    std::call_once(once_, [this] {
        const auto known = known_msrs(kvm_);
        std::ranges::copy_if(power_on::msrs(), std::back_inserter(facts_.msrs), [&](const auto& m) {
            return known.empty() || known.contains(m.index) || is_mtrr(m.index);
        });
        const int size = vm_.attempt(KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
        facts_.xsave_words = std::max(kXsaveSize, static_cast<std::size_t>(std::max(size, 0))) / 4;
    });
    return facts_;
}

Result<hv::VmExit> Vcpu::run() {
    if (!runner_.is_prepared()) [[unlikely]]
        VMM_TRY(runner_.prepare());
    if (const int why = runner_.run(); why != 0) [[unlikely]] {
        if (why == EINTR)
            return hv::exit::Interrupted{};
        return std::unexpected(Runner::cannot_run(why));
    }
    const auto exit = decode(runner_.page());
    if (std::holds_alternative<hv::exit::Failed>(exit)) [[unlikely]] {
        const kvm_run& page = runner_.page();
        if (page.exit_reason == KVM_EXIT_IOAPIC_EOI && io_apic_ != nullptr) {
            io_apic_->end_of_interrupt(page.eoi.vector);
            return hv::exit::Interrupted{};
        }
        failure_ = why_it_failed();
        return hv::exit::Failed{failure_};
    }
    return exit;
}

std::string Vcpu::why_it_failed() const {
    Place place{};
    const bool known = vcpu().attempt(KVM_GET_REGS, &place.registers) >= 0 &&
                       vcpu().attempt(KVM_GET_SREGS, &place.system) >= 0;
    return explain(runner_.page(), known ? std::optional{place} : std::nullopt,
                   facts_.missing_virtualisation());
}

Result<> Vcpu::set_cpuid(std::span<const hv::x86::CpuidEntry> entries) {
    FlexArray<ListHeader, kvm_cpuid_entry2> array{entries.size()};
    array.header()->count = static_cast<std::uint32_t>(entries.size());
    auto to = array.entries().begin();
    for (const auto& entry : entries) {
        to->function = entry.leaf;
        to->index = entry.subleaf;
        to->flags = entry.has_subleaf ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
        to->eax = entry.eax;
        to->ebx = entry.ebx;
        to->ecx = entry.ecx;
        to->edx = entry.edx;
        ++to;
    }
    VMM_TRY_OR(vcpu().call(VMM_REQUEST_SIZED(KVM_SET_CPUID2, sizeof(ListHeader)), array.header()),
               cat("cannot set ", entries.size(), " CPUID entries of vCPU ", apic_.id));
    return apic_.mode == power_on::ApicMode::X2apic ? enter_x2apic_mode() : Result<>{};
}

/// KVM allows the mode to vCPUs whose CPUID has it.
Result<> Vcpu::enter_x2apic_mode() {
    kvm_sregs now{};
    VMM_TRY_OR(vcpu().call(VMM_REQUEST(KVM_GET_SREGS), &now),
               cat("cannot read the system registers of vCPU ", apic_.id));
    now.apic_base = power_on::apic_base(apic_);
    VMM_TRY_OR(vcpu().call(VMM_REQUEST(KVM_SET_SREGS), &now),
               cat("cannot set the local APIC of vCPU ", apic_.id, " to x2APIC mode"));
    return {};
}

Result<> Vcpu::set_msrs(std::span<const hv::x86::Msr> msrs) {
    auto array = to_kvm(msrs);
    const auto set = static_cast<std::size_t>(
        VMM_TRY_OR(vcpu().call(VMM_REQUEST_SIZED(KVM_SET_MSRS, sizeof(ListHeader)), array.header()),
                   cat("cannot set the MSRs of vCPU ", apic_.id)));
    if (set < msrs.size())
        return std::unexpected(
            Error{ErrorKind::Unsupported, cat("this host's KVM refuses MSR ", Hex{msrs[set].index},
                                              " the value ", Hex{msrs[set].value})});
    return {};
}

Result<> Vcpu::set_registers(const hv::x86::Registers& registers) {
    auto to = to_kvm(registers);
    VMM_TRY_OR(vcpu().call(VMM_REQUEST(KVM_SET_REGS), &to),
               cat("cannot set the registers of vCPU ", apic_.id));
    return {};
}

Result<> Vcpu::set_system_registers(const hv::x86::SystemRegisters& registers) {
    auto to = to_kvm(registers, power_on::apic_base(apic_));
    VMM_TRY_OR(vcpu().call(VMM_REQUEST(KVM_SET_SREGS), &to),
               cat("cannot set the system registers of vCPU ", apic_.id));
    return {};
}

Result<hv::x86::Registers> Vcpu::registers() {
    kvm_regs now{};
    VMM_TRY_OR(vcpu().call(VMM_REQUEST(KVM_GET_REGS), &now),
               cat("cannot read the registers of vCPU ", apic_.id));
    return from_kvm(now);
}

Result<hv::x86::SystemRegisters> Vcpu::system_registers() {
    kvm_sregs now{};
    VMM_TRY_OR(vcpu().call(VMM_REQUEST(KVM_GET_SREGS), &now),
               cat("cannot read the system registers of vCPU ", apic_.id));
    return from_kvm(now);
}

Result<> Vcpu::reset() {
    VMM_TRY(abandon_io());
    VMM_TRY(reset_msrs());
    // Twice: the first one leaves a nested guest on AMD, half way through.
    VMM_TRY(set_system_registers(power_on::system_registers()));
    VMM_TRY(set_system_registers(power_on::system_registers()));
    auto registers = power_on::registers();
    VMM_TRY(vcpu().call(VMM_REQUEST(KVM_SET_REGS), &registers));
    VMM_TRY(reset_fpu());
    auto debug = power_on::debug_registers();
    VMM_TRY(vcpu().call(VMM_REQUEST(KVM_SET_DEBUGREGS), &debug));
    auto apic = power_on::local_apic(apic_);  // after IA32_TSC_DEADLINE and IA32_APIC_BASE
    VMM_TRY(vcpu().call(VMM_REQUEST(KVM_SET_LAPIC), &apic));
    VMM_TRY(reset_events());
    return {};
}

/// Makes KVM forget the access that the last exit was about; it would write its result into the
/// new registers.
Result<> Vcpu::abandon_io() {
    constexpr int kMostParts = 16;  // of one access, and then some
    for (int i = 0; i < kMostParts; ++i) {
        if (VMM_TRY(runner_.complete_io()))
            return {};
        kvm_regs end_string{};  // RCX is zero: no next element
        end_string.rflags = 2;
        VMM_TRY(vcpu().call(VMM_REQUEST(KVM_SET_REGS), &end_string));
        runner_.drop_exit();
    }
    return std::unexpected(Error{ErrorKind::Unsupported,
                                 cat("KVM does not finish the last access of vCPU ", apic_.id)});
}

Result<> Vcpu::reset_msrs() {
    std::span<const hv::x86::Msr> left = facts_.get().msrs;
    while (!left.empty()) {
        auto array = to_kvm(left);
        const auto set = static_cast<std::size_t>(VMM_TRY(
            vcpu().call(VMM_REQUEST_SIZED(KVM_SET_MSRS, sizeof(ListHeader)), array.header())));
        // KVM stops at one that this guest does not have: it cannot have changed it either.
        left = left.subspan(std::min(set + 1, left.size()));
    }
    const hv::x86::Msr misc[] = {{power_on::kMiscEnable, 0}};
    auto now = to_kvm(misc);
    VMM_TRY(vcpu().call(VMM_REQUEST_SIZED(KVM_GET_MSRS, sizeof(ListHeader)), now.header()));
    now.entries()[0].data = power_on::misc_enable(now.entries()[0].data);
    VMM_TRY(vcpu().call(VMM_REQUEST_SIZED(KVM_SET_MSRS, sizeof(ListHeader)), now.header()));
    return {};
}

Result<> Vcpu::reset_fpu() {
    // All components in their initial state: an empty header.
    std::vector<std::uint32_t> xsave(facts_.get().xsave_words);
    power_on::set_fpu_controls(xsave);
    VMM_TRY(vcpu().call(VMM_REQUEST_SIZED(KVM_SET_XSAVE, kXsaveSize), xsave.data()));
    kvm_xcrs extended{};
    extended.nr_xcrs = 1;
    extended.xcrs[0].value = 1;  // x87
    // A host without XSAVE has no XCR0 to set.
    vcpu().attempt(KVM_SET_XCRS, &extended);
    return {};
}

Result<> Vcpu::reset_events() {
    kvm_vcpu_events none{};
    none.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
                 KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;  // SMM: a latched INIT
    VMM_TRY(vcpu().call(VMM_REQUEST(KVM_SET_VCPU_EVENTS), &none));
    kvm_mp_state state{};
    state.mp_state = apic_.id == 0 ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
    VMM_TRY(vcpu().call(VMM_REQUEST(KVM_SET_MP_STATE), &state));
    return {};
}

}  // namespace vmm::kvm
