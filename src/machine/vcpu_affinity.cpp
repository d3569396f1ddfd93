// SPDX-License-Identifier: Apache-2.0
#include "machine/vcpu_affinity.hpp"

#include <sys/sysinfo.h>

#include <algorithm>

#include "vmm/text.hpp"
#include "vmm/thread.hpp"

namespace vmm::machine {

Result<> check_host_cpus(const CpusConfig& cpus, std::span<const unsigned> usable,
                         unsigned present) {
    for (std::size_t i = 0; i < cpus.affinity.size(); ++i)
        for (const unsigned number : cpus.affinity[i].host_cpus) {
            if (std::ranges::binary_search(usable, number))
                continue;
            const auto* const why = number < present
                                        ? " is offline, or not in the cpuset of this process"
                                        : " does not exist";
            return std::unexpected(
                Error{ErrorKind::Config, cat("cpus.affinity[", i, "]: host CPU ", number, why)}
                    .hint(cat("Choose among host CPUs ", processors_text(usable),
                              number < present ? ", or let the process have more (a systemd unit's "
                                                 "AllowedCPUs=, a container's --cpuset-cpus)."
                                               : ".")));
        }
    return {};
}

Result<std::vector<std::vector<unsigned>>> host_cpus(const CpusConfig& cpus) {
    const auto usable = VMM_TRY_OR(usable_processors(), "find out which host CPUs may be used");
    VMM_TRY(check_host_cpus(cpus, usable, static_cast<unsigned>(::get_nprocs_conf())));
    std::vector<std::vector<unsigned>> all(cpus.max());
    for (const auto& [vcpu, processors] : cpus.affinity)
        all.at(vcpu.value_or(0)) = {processors.begin(), processors.end()};
    return all;
}

}  // namespace vmm::machine
