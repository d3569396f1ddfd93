// SPDX-License-Identifier: Apache-2.0
#include "kvm/x86_64/exits.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "vmm/text.hpp"

namespace vmm::kvm {
namespace {

/// "48 0f 01 d0": two digits a byte.
std::string bytes(std::span<const __u8> data) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const auto byte : data) {
        if (!text.empty())
            text += ' ';
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

std::string where(const std::optional<Place>& place) {
    if (!place)
        return {};
    constexpr std::uint64_t kProtected = 1;
    const auto& cs = place->system.cs;
    std::string_view mode = "16-bit real mode";
    if (cs.l != 0)
        mode = "64-bit mode";
    else if ((place->system.cr0 & kProtected) != 0)
        mode = cs.db != 0 ? "32-bit mode" : "16-bit protected mode";
    return cat(" at ", Hex{cs.l != 0 ? place->registers.rip : cs.base + place->registers.rip}, " (",
               mode, ", ring ", place->system.ss.dpl, ")");
}

std::string emulation_failure(const kvm_run& run, const std::string& at) {
    const auto& failure = run.emulation_failure;
    const bool has_bytes =
        failure.ndata >= 1 &&
        (failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0;
    const auto size = std::min<std::size_t>(failure.insn_size, sizeof failure.insn_bytes);
    if (!has_bytes)
        return cat("KVM could not emulate the guest's instruction", at);
    if (size == 0)
        return cat("the guest runs code where there is no memory", at);
    return cat("KVM could not emulate the guest's instruction", at,
               "; the bytes there: ", bytes(std::span{failure.insn_bytes}.first(size)));
}

std::string internal_error(const kvm_run& run, const std::string& at) {
    switch (run.internal.suberror) {
        case KVM_INTERNAL_ERROR_EMULATION:
            return emulation_failure(run, at);
        case KVM_INTERNAL_ERROR_SIMUL_EX:
            return cat("the guest raised an exception while another was being delivered", at);
        case KVM_INTERNAL_ERROR_DELIVERY_EV:
            return cat("KVM could not deliver an interrupt or exception to the guest", at);
        case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
            return cat("the CPU left the guest for a reason that KVM does not know (",
                       Hex{run.internal.ndata > 0 ? run.internal.data[0] : 0}, ")", at);
        default:
            return cat("KVM reports internal error ", run.internal.suberror, at);
    }
}

std::string entry_failure(const kvm_run& run, const std::string& at) {
    constexpr std::uint64_t kInvalidGuestState = 0x8000'0021;
    const auto reason = run.fail_entry.hardware_entry_failure_reason;
    return cat("the CPU refused to enter the guest (hardware reason ", Hex{reason},
               reason == kInvalidGuestState ? ", invalid guest state" : "", ")", at);
}

}  // namespace

hv::VmExit decode_rare(const kvm_run& run) noexcept {
    switch (run.exit_reason) {
        case KVM_EXIT_HLT:
            return hv::exit::Halt{};
        case KVM_EXIT_SHUTDOWN:
            return hv::exit::TripleFault{};
        case KVM_EXIT_SYSTEM_EVENT:
            return system_event(run);
        default:
            return hv::exit::Failed{};
    }
}

std::string explain(const kvm_run& run, const std::optional<Place>& place,
                    const std::string& advice) {
    const auto at = where(place);
    std::string what;
    switch (run.exit_reason) {
        case KVM_EXIT_INTERNAL_ERROR:
            what = internal_error(run, at);
            break;
        case KVM_EXIT_FAIL_ENTRY:
            what = entry_failure(run, at);
            break;
        case KVM_EXIT_UNKNOWN:
            what = cat("the CPU left the guest for a reason that KVM does not know (",
                       Hex{run.hw.hardware_exit_reason}, ")", at);
            break;
        default:
            what = cat("KVM stopped the vCPU for a reason that was not asked for (exit reason ",
                       run.exit_reason, ")", at);
            break;
    }
    return advice.empty() ? what : cat(what, "; ", advice);
}

}  // namespace vmm::kvm
