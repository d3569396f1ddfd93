// SPDX-License-Identifier: Apache-2.0
// The aarch64 half of the hypervisor port: a GIC at addresses that the board gives, and CPUs that
// start at an entry or when PSCI says so. hv/ applies what arch/aarch64 makes.
// Spec: Arm ARM (DDI 0487), GICv3 (IHI 0069), PSCI (DEN 0022).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vmm/gpa.hpp"
#include "vmm/hv.hpp"

namespace vmm::hv::arm {

/// Of shared peripheral interrupts, which hv::Gsi counts from 0; their INTID is 32 more.
inline constexpr std::uint32_t kFirstSpi = 32;

/// The private peripheral interrupt of the performance monitors, counted from 0. Spec: Arm BSA.
inline constexpr std::uint32_t kPmuPpi = 7;
inline constexpr std::uint32_t kFirstPpi = 16;

/// A GICv2 is what hosts without a GICv3 have: 8 vCPUs, and no messages of devices.
enum class GicVersion : std::uint8_t { V2, V3 };

/// Where the registers of either interrupt controller lie.
struct GicLayout {
    GpaRange distributor;
    std::vector<GpaRange> redistributors;  ///< GICv3: 128 KiB for each vCPU, in one or more ranges
    GpaRange its;                          ///< GICv3: 128 KiB
    GpaRange cpu_interface;                ///< GICv2: 8 KiB
    std::uint32_t spis = 0;                ///< a multiple of 32
};

/// How a CPU begins: at EL1, MMU off, interrupts masked. Spec: Linux
/// Documentation/arch/arm64/booting.rst.
struct Entry {
    Gpa pc;
    std::uint64_t x0 = 0;
};

/// Sizes of a page that a CPU can translate. Spec: DDI 0487, ID_AA64MMFR0_EL1.
struct Granules {
    bool kib4 = false;
    bool kib16 = false;
    bool kib64 = false;
};

class Vcpu : public hv::Vcpu {
public:
    /// Its affinity, as others address it (PSCI CPU_ON, the device tree's `reg`).
    virtual Result<std::uint64_t> mpidr() = 0;
    virtual Result<> set_entry(const Entry& entry) = 0;
    /// After Vm::complete_gic(), before it runs the first time; in any thread.
    virtual Result<> prepare() = 0;
    /// What its MMU can map.
    virtual Result<Granules> granules() = 0;
    /// As after power-on: the first one would run, the others wait for CPU_ON. No vCPU runs.
    virtual Result<> reset() = 0;
};

class Vm : public hv::Vm {
public:
    /// Of guest physical addresses.
    virtual unsigned address_bits() const noexcept = 0;
    /// vCPUs have performance monitors.
    virtual bool has_pmu() const noexcept = 0;
    /// Before create_interrupt_controller().
    virtual void place_gic(const GicLayout& layout) = 0;
    /// What it has become. After create_interrupt_controller().
    virtual GicVersion gic_version() const noexcept = 0;
    virtual Result<std::unique_ptr<Vcpu>> create_vcpu(std::uint32_t index) = 0;
    /// After the last vCPU was made, before one runs.
    virtual Result<> complete_gic() = 0;
    /// The GIC as after power-on. `mpidrs` are those of the vCPUs, none of which runs.
    virtual Result<> reset(std::span<const std::uint64_t> mpidrs) = 0;
};

/// Where virtual machines come from: as hv::x86::Hypervisor.
class Hypervisor {
public:
    virtual ~Hypervisor() = default;
    virtual Result<std::unique_ptr<Vm>> create_vm() = 0;
};

}  // namespace vmm::hv::arm
