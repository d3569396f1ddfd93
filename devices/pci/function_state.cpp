// SPDX-License-Identifier: Apache-2.0
// The state of a function: what the guest has written, and what the function must be to take it.
#include <array>
#include <utility>

#include "pci/function.hpp"
#include "vmm/text.hpp"

namespace vmm::pci {
namespace {

constexpr std::uint16_t kFunctionStateVersion = 1;
constexpr std::string_view kOtherMake = "is not that of this function";

/// What a driver knows a function by. Spec: PCI 3.0, 6.2.1, 6.2.4.
struct IdRegister {
    unsigned offset;
    unsigned size;
    std::string_view name;
};
constexpr auto kIds =
    std::array{IdRegister{0x00, 2, "vendor id"}, IdRegister{0x02, 2, "device id"},
               IdRegister{0x08, 4, "class code and revision"},
               IdRegister{0x2c, 2, "subsystem vendor id"}, IdRegister{0x2e, 2, "subsystem id"}};

/// Bits 1:0 BarKind, bit 2 prefetchable; 0 also where there is no BAR.
std::uint8_t flags_of(const BarShape& shape) {
    return static_cast<std::uint8_t>(std::to_underlying(shape.kind) | (shape.prefetchable ? 4 : 0));
}

}  // namespace

void Function::save(StateWriter& to) {
    const std::scoped_lock held{lock_};
    const StateWriter::Section section{to, kFunctionStateVersion};
    save_make(to);
    space_.save(to);
    for (unsigned i = 0; i < capability_count_; ++i)
        if (capabilities_[i].registers != nullptr)
            capabilities_[i].registers->save_registers(to);
}

// Identity, BARs, capabilities.
void Function::save_make(StateWriter& to) const {
    for (const IdRegister& id : kIds)
        to.put(space_.read(id.offset, id.size));
    for (const Bar& bar : bars_) {
        to.put(flags_of(bar.shape));
        to.put(bar.region == nullptr ? std::uint64_t{0} : bar.shape.size);
    }
    to.put(static_cast<std::uint8_t>(capability_count_));
    for (unsigned i = 0; i < capability_count_; ++i)
        to.put(capabilities_[i].id);
}

void Function::require_make(StateReader& from) const {
    for (const auto& [offset, size, name] : kIds)
        from.require(from.get<std::uint32_t>(name) == space_.read(offset, size), name, kOtherMake);
    for (unsigned i = 0; i < kBaseAddresses; ++i)
        require_bar(from, i);
    from.require(from.get<std::uint8_t>("number of capabilities") == capability_count_,
                 "number of capabilities", kOtherMake);
    for (unsigned i = 0; i < capability_count_; ++i)
        from.require(from.get<std::uint8_t>("capability") == capabilities_[i].id, "capability",
                     kOtherMake);
}

void Function::require_bar(StateReader& from, unsigned index) const {
    const Bar& bar = bars_[index];
    const std::string which = index == kRomBar ? "the expansion ROM" : cat("BAR ", index);
    const std::string kind = cat("kind of ", which);
    from.require(from.get<std::uint8_t>(kind) == flags_of(bar.shape), kind, kOtherMake);
    const std::string size = cat("size of ", which);
    from.require(from.get<std::uint64_t>(size) == (bar.region == nullptr ? 0 : bar.shape.size),
                 size, kOtherMake);
}

Result<std::vector<ApplyState>> Function::read_capabilities(StateReader& from) const {
    std::vector<ApplyState> steps;
    for (unsigned i = 0; i < capability_count_; ++i)
        if (capabilities_[i].registers != nullptr)
            steps.push_back(VMM_TRY(capabilities_[i].registers->read_registers(from)));
    return steps;
}

Result<> Function::restore(StateReader& from) {
    const std::scoped_lock held{lock_};
    VMM_TRY(read_state(from))();
    return {};
}

Result<ApplyState> Function::read_state(StateReader& from) {
    StateReader state = VMM_TRY(from.section("PCI function", kFunctionStateVersion));
    require_make(state);
    ConfigSpace space = space_.with_state(state);
    auto capabilities = VMM_TRY(read_capabilities(state));
    VMM_TRY(state.done());
    return [this, space = std::move(space),
            capabilities = std::move(capabilities)]() mutable noexcept {
        space_ = std::move(space);
        command_changed();
        for (ApplyState& apply : capabilities)
            apply();
    };
}

}  // namespace vmm::pci
