// SPDX-License-Identifier: Apache-2.0
#include "kvm/x86_64/supported_cpuid.hpp"

#include <linux/kvm.h>

#include <algorithm>
#include <utility>

#include "kvm/flex_array.hpp"
#include "kvm/host.hpp"
#include "vmm/error_record.hpp"
#include "vmm/log.hpp"
#include "vmm/thread.hpp"

namespace vmm::kvm {
namespace {

Result<SupportedCpuid::Entries> ask(const Handle& kvm) {
    constexpr std::size_t kMost = 256;  // KVM_MAX_CPUID_ENTRIES
    FlexArray<ListHeader, kvm_cpuid_entry2> array{kMost};
    array.header()->count = kMost;
    VMM_TRY_OR(
        kvm.call(VMM_REQUEST_SIZED(KVM_GET_SUPPORTED_CPUID, sizeof(ListHeader)), array.header()),
        "cannot find out what CPU features a guest may have");
    const auto count = std::min<std::size_t>(array.header()->count, kMost);
    SupportedCpuid::Entries entries;
    entries.reserve(count);
    for (const auto& from : array.entries().first(count))
        entries.push_back({.leaf = from.function,
                           .subleaf = from.index,
                           .has_subleaf = (from.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0,
                           .eax = from.eax,
                           .ebx = from.ebx,
                           .ecx = from.ecx,
                           .edx = from.edx});
    return entries;
}

}  // namespace

SupportedCpuid::SupportedCpuid(const Handle& kvm, bool in_background) : kvm_{kvm} {
    if (!in_background)
        return;
    auto made = make_thread({.kind = ThreadKind::SetUp, .name = "cpuid"}, [this]() noexcept {
        answer_.emplace(ask(kvm_));
        missing_virtualisation_ = missing_hardware_virtualisation();
    });
    if (!made) {
        log::debug("no thread to ask for CPU features: ", record_of(made.error()));
        return;
    }
    asker_ = std::move(*made);
    start_elsewhere(asker_.native_handle());
}

Result<SupportedCpuid::Entries> SupportedCpuid::get() {
    if (asker_.joinable())
        asker_.join();
    if (!answer_) {
        missing_virtualisation_ = missing_hardware_virtualisation();
        return ask(kvm_);
    }
    auto answer = std::move(*answer_);
    answer_.reset();
    return answer;
}

}  // namespace vmm::kvm
