// SPDX-License-Identifier: Apache-2.0
// What CPUID tells each vCPU: the host's CPU as far as KVM can give it, with the guest's own
// topology in place of the host's.
//
// Spec: Intel SDM volume 2A, CPUID; volume 3A, 9.9 (topology enumeration); AMD APM volume 3,
// appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst (leaves 0x4000'0000 and up).
// Both the old and the new ways of telling topology say the same: leaves 1, 4, 0xb, 0x1f on Intel;
// 1, 0xb, 0x8000'0008, 0x8000'001d, 0x8000'001e, 0x8000'0026 on AMD and Hygon.
// A template is made once and then only read, from any thread.
// Left out: CPU models, feature flags by hand, hybrid CPUs (all vCPUs are alike).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/error.hpp"
#include "vmm/hv_x86.hpp"

namespace vmm::x86_64 {

/// How vCPUs are grouped, each count within the level above. vCPU n and n + 1 are neighbours:
/// threads of a core first, then cores.
struct Topology {
    std::uint16_t packages = 1;
    std::uint16_t dies = 1;     ///< per package
    std::uint16_t cores = 1;    ///< per die
    std::uint16_t threads = 1;  ///< per core

    /// What a guest gets that asked for nothing: one package of single-threaded cores. With a
    /// package for each vCPU a Linux guest takes visibly longer to start and to balance its load.
    static constexpr Topology flat(std::uint16_t vcpus) { return {.cores = vcpus}; }

    constexpr std::uint64_t vcpus() const {
        return std::uint64_t{packages} * dies * cores * threads;
    }
    constexpr unsigned threads_per_die() const { return unsigned{cores} * threads; }
    constexpr unsigned threads_per_package() const { return dies * threads_per_die(); }

    // An APIC id has a field for each level, as wide as its highest number needs. So ids have gaps
    // when a count is not a power of two. Shifts: the number of bits below a level's own id.
    constexpr unsigned core_shift() const { return bits(threads); }
    constexpr unsigned die_shift() const { return core_shift() + bits(cores); }
    constexpr unsigned package_shift() const { return die_shift() + bits(dies); }

    /// Of vCPU `index`, below vcpus().
    constexpr std::uint32_t apic_id(std::uint32_t index) const {
        const std::uint32_t thread = index % threads;
        const std::uint32_t core = index / threads % cores;
        const std::uint32_t die = index / threads_per_die() % dies;
        const std::uint32_t package = index / threads_per_package();
        return thread | core << core_shift() | die << die_shift() | package << package_shift();
    }

    friend constexpr bool operator==(const Topology&, const Topology&) = default;

private:
    static constexpr unsigned bits(unsigned count) {
        return static_cast<unsigned>(std::bit_width(count - 1));
    }
};

/// Whether `topology` describes exactly `vcpus` vCPUs and CPUID can express it. Kind Config.
Result<> check(const Topology& topology, unsigned vcpus);

struct CpuidOptions {
    /// The local APIC has a TSC-deadline timer (KVM tells this apart from CPUID). Without it Linux
    /// measures the APIC timer at boot, which takes a tenth of a second.
    bool tsc_deadline = false;
    /// Interrupt messages may carry 15 bits of APIC id; the interrupt chip must know (KVM: X2APIC
    /// API with 32-bit ids, and an I/O APIC that is not the kernel's): Vm::use_wide_apic_ids().
    bool extended_msi_destination = false;
};

/// The answers of all vCPUs, of which each one's own ids are filled in on demand.
class CpuidTemplate {
public:
    /// `supported` is what hv::x86::Vm::supported_cpuid() gives; `topology` has passed check().
    CpuidTemplate(std::span<const hv::x86::CpuidEntry> supported, const Topology& topology,
                  const CpuidOptions& options);

    /// For vCPU `index`, below the topology's vcpus().
    std::vector<hv::x86::CpuidEntry> for_vcpu(std::uint32_t index) const;

    /// Physical address bits that the guest sees: where a window above RAM may end.
    unsigned address_bits() const;

private:
    using Entry = hv::x86::CpuidEntry;
    enum class Vendor : std::uint8_t { Intel, Amd };

    Entry* find(std::uint32_t leaf, std::uint32_t subleaf = 0);
    void drop(std::uint32_t leaf);
    void add_level(std::uint32_t leaf, std::uint32_t type, unsigned shift, unsigned vcpus);
    void end_levels(std::uint32_t leaf);

    Vendor vendor() const;
    void set_features(const CpuidOptions& options);
    void hide_pmu();
    void set_extended_topology();
    void set_intel_caches();
    void set_amd_topology();
    void set_amd_caches();
    void set_amd_levels();

    std::vector<Entry> entries_;
    Topology topology_;
    Vendor vendor_;
};

}  // namespace vmm::x86_64
