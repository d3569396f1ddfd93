// SPDX-License-Identifier: Apache-2.0
// The hypervisor port: what a hypervisor is to us. hv/kvm is Linux's KVM, hv/fake follows a script.
//
// Nothing here knows an architecture; what a CPU's state looks like is in vmm/hv_x86.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>

#include "vmm/doorbell.hpp"
#include "vmm/error.hpp"
#include "vmm/gpa.hpp"
#include "vmm/io_device.hpp"
#include "vmm/irq_line.hpp"
#include "vmm/memory_layout.hpp"
#include "vmm/msi.hpp"

namespace vmm::hv {

/// Global system interrupt: an input pin of the interrupt controller, not a vector.
enum class Gsi : std::uint32_t {};

// Why a vCPU stopped. Spans and texts lie in memory that is valid until the next run(); so an exit
// is a plain value, which nothing needs to be freed of.
namespace exit {

/// `data` is `size` bytes times the count of a string instruction; the answer goes into it.
struct PortIn {
    std::uint16_t port;
    AccessSize size;
    std::span<std::byte> data;
};
struct PortOut {
    std::uint16_t port;
    AccessSize size;
    std::span<const std::byte> data;
};
/// 1 to 8 bytes; not every length is an AccessSize. The answer goes into `data`.
struct MmioRead {
    Gpa at;
    std::span<std::byte> data;
};
struct MmioWrite {
    Gpa at;
    std::span<const std::byte> data;
};
struct Halt {};         ///< only where the interrupt controller is not in the hypervisor
struct Interrupted {};  ///< a kick, or a signal: look at what is wanted, then run again
struct TripleFault {};  ///< x86 shutdown condition
/// The guest asked the hypervisor itself (PSCI on aarch64).
struct SystemEvent {
    enum class Kind : std::uint8_t { PowerOff, Reset, Crash } kind;
};
/// The hypervisor cannot go on with this vCPU. `what` says why, for a user, with the advice.
struct Failed {
    std::string_view what;
};

}  // namespace exit

using VmExit =
    std::variant<exit::PortIn, exit::PortOut, exit::MmioRead, exit::MmioWrite, exit::Halt,
                 exit::Interrupted, exit::TripleFault, exit::SystemEvent, exit::Failed>;

/// One virtual CPU. All functions but kick() belong to the one thread that runs it, or to the
/// thread that made it while no thread runs it.
class Vcpu {
public:
    virtual ~Vcpu() = default;

    /// Runs the guest until something needs us. A Result error is a host failure; a guest that
    /// went wrong is exit::Failed.
    virtual Result<VmExit> run() = 0;

    /// Finishes the I/O of the last exit (KVM writes results back on the next run) without running
    /// guest code, so that the state may be read, saved or replaced. False: the same instruction
    /// asks for more (the other half of a wide access, the next element of a string); run() returns
    /// that request without entering the guest, and once answered this is to be called again.
    virtual Result<bool> complete_io() = 0;

    /// Makes the current run(), or the next one if none is going on, return Interrupted: never
    /// lost, whatever the timing. Any thread, also before the first run().
    virtual void kick() noexcept = 0;
};

/// One virtual machine: memory slots, interrupt controller, doorbells.
/// Order of creation that costs least: RAM, then create_interrupt_controller(), then vCPUs
/// (KVM makes a slot change after the interrupt chip wait for some 7 ms).
class Vm : public MemoryObserver, public MsiSink, public Doorbells {
public:
    /// In the hypervisor's kernel: x86 PICs, I/O APIC and local APICs; aarch64 GICv3.
    virtual Result<> create_interrupt_controller() = 0;

    /// A pin of it. Level triggered lines stay up until they are set low. Several lines of one pin
    /// are a wired OR: the pin is high while any of them is (PCI's INTx). Any thread.
    virtual Result<std::unique_ptr<IrqLine>> irq_line(Gsi gsi) = 0;

    virtual unsigned max_vcpus() const noexcept = 0;
};

}  // namespace vmm::hv
