// SPDX-License-Identifier: Apache-2.0
// Stands in for Linux: remembers ioctls in order and answers as it is told. For tests of hv/kvm.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kvm/flex_array.hpp"
#include "kvm/ioctl.hpp"
#include "vmm/text.hpp"

namespace vmm::kvm {

class RecordingKernel final : public Kernel {
public:
    int ioctl(int, unsigned long number, std::uintptr_t argument) noexcept override {
        calls.push_back(describe(number, argument));
        const auto answer = answers.find(number);
        return answer == answers.end() ? 0 : answer->second;
    }

    /// What came since the last time.
    std::vector<std::string> take() { return std::exchange(calls, {}); }

    std::vector<std::string> calls;
    std::map<unsigned long, int> answers;  ///< by request; others are answered with 0

private:
    template <class T>
    static T read(std::uintptr_t argument) {
        return *reinterpret_cast<const T*>(argument);
    }

    static std::string routes(std::uintptr_t argument) {
        const auto header = read<ListHeader>(argument);
        const auto* entry = reinterpret_cast<const kvm_irq_routing_entry*>(argument + 8);
        std::string text = "routes";
        for (std::uint32_t i = 0; i < header.count; ++i, ++entry)
            if (entry->type == KVM_IRQ_ROUTING_MSI)
                text += cat(" ", entry->gsi, "->", Hex{entry->u.msi.address_hi}, ":",
                            Hex{entry->u.msi.address_lo}, ":", Hex{entry->u.msi.data},
                            (entry->flags & KVM_MSI_VALID_DEVID) != 0
                                ? cat(" from ", Hex{entry->u.msi.devid})
                                : "");
        return text;
    }

    static std::string describe(unsigned long number, std::uintptr_t argument) {
        if (number == with_size(KVM_SET_GSI_ROUTING, sizeof(ListHeader)))
            return routes(argument);
        if (number == KVM_IRQFD) {
            const auto irqfd = read<kvm_irqfd>(argument);
            return cat("irqfd ", irqfd.gsi, irqfd.flags == 0 ? " on" : " off");
        }
        if (number == KVM_IRQ_LINE) {
            const auto level = read<kvm_irq_level>(argument);
            return cat("pin ", level.irq, "=", level.level);
        }
        if (number == KVM_SIGNAL_MSI) {
            const auto message = read<kvm_msi>(argument);
            return cat("message ", Hex{message.address_hi}, ":", Hex{message.address_lo}, ":",
                       Hex{message.data});
        }
        if (number == KVM_SET_USER_MEMORY_REGION) {
            const auto slot = read<kvm_userspace_memory_region>(argument);
            return cat("slot ", slot.slot, " ", Hex{slot.guest_phys_addr}, "+",
                       Hex{slot.memory_size}, slot.flags == KVM_MEM_READONLY ? " read-only" : "");
        }
        if (number == KVM_IOEVENTFD) {
            const auto bell = read<kvm_ioeventfd>(argument);
            return cat("bell ", Hex{bell.addr}, " len ", bell.len, " match ", bell.datamatch,
                       " flags ", bell.flags);
        }
        if (number == KVM_CHECK_EXTENSION)
            return cat("has ", argument);
        return cat("ioctl ", Hex{number});
    }
};

}  // namespace vmm::kvm
