// The PC: RAM, interrupt chips, a serial port, a CMOS clock, ACPI, and vCPUs that run a kernel.
//
// What lies where is arch/x86_64's layout.hpp; this puts the parts there and joins them.
// Members stand in the order in which they come up. Threads: as board.hpp.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "acpi_power/acpi_power.hpp"
#include "backends/char/char_backend.hpp"
#include "bus/bus.hpp"
#include "machine/board.hpp"
#include "machine/console_watch.hpp"
#include "machine/host_clock.hpp"
#include "machine/pci_devices.hpp"
#include "machine/vcpu_set.hpp"
#include "memory/guest_ram.hpp"
#include "rtc/rtc.hpp"
#include "serial/serial.hpp"
#include "test_exit/test_exit.hpp"
#include "vmm/hv_x86.hpp"
#include "x86_64/acpi/tables.hpp"
#include "x86_64/cpuid.hpp"
#include "x86_64/kernel_file.hpp"
#include "x86_64/loader.hpp"

namespace vmm::machine {

class Pc final : public Board, private CharBackendEvents, private TestExitEvents {
public:
    static Result<std::unique_ptr<Pc>> create(const BoardParts& parts);
    ~Pc() override;
    Pc(const Pc&) = delete;
    Pc& operator=(const Pc&) = delete;

    Result<> start() override;
    Result<> reset() override;
    void pause() override;
    void stop() override;
    void press_power_button() override;
    void look_at_disks() override;
    std::vector<std::string> drain(std::chrono::milliseconds at_most) override;
    std::string last_panic() const override;

private:
    /// The host's side of a console, and what the guest's kernel said over it.
    struct HostSide {
        std::unique_ptr<CharBackend> backend;  // null: the console is off
        std::unique_ptr<ConsoleWatch> watch;   // in front of it; null: nobody prints there
    };
    /// One serial port with what is behind it.
    struct SerialPort : HostSide {
        std::unique_ptr<IrqLine> irq;
        std::optional<Serial> device;
    };

    Pc(const BoardParts& parts, x86_64::KernelFile kernel);

    // The steps of create(), in this order.
    Result<> open_initramfs();
    Result<> map_ram();
    Result<> create_vm();
    template <class Channel>
    Result<> open_host_side(HostSide& side, const Channel& config, const std::string& name);
    Result<> add_serial();
    Result<> add_platform_devices();
    Result<> name_local_apics();
    Result<> create_vcpus();
    Result<> add_pci_devices();
    Result<> put_devices_on_bus();

    Result<> open_console_ports();
    std::vector<const HostSide*> host_sides() const;
    Result<> load();  // payload and tables into RAM, vCPU 0 at its entry
    Result<> write_firmware();
    x86_64::Tables tables() const;
    Result<> prepare_vcpu(unsigned index);
    x86_64::Topology topology() const;

    void quit_requested() noexcept override;
    void disk_sizes_requested() noexcept override { look_at_disks(); }
    void terminal_resized(TerminalSize size) noexcept override;
    void exit_requested(std::uint32_t value) noexcept override;

    const VmConfig& config_;
    boost::asio::io_context& loop_;
    Events& events_;
    const Tell& tell_;
    HostClock clock_;

    x86_64::KernelFile kernel_;
    std::vector<BootFile> initramfs_;
    std::unique_ptr<GuestRam> ram_;
    std::unique_ptr<hv::x86::Vm> vm_;
    Bus ports_;
    Bus mmio_;
    SerialPort com1_;
    std::unique_ptr<IrqLine> power_irq_;
    std::optional<AcpiPower> power_;
    std::optional<Rtc> rtc_;
    std::optional<TestExit> test_exit_;
    HostSide hvc0_;
    std::vector<HostSide> console_ports_;
    std::unique_ptr<PciDevices> pci_;  // null: there is no PCI
    std::vector<Resettable*> resettables_;
    std::optional<x86_64::CpuidTemplate> cpuid_;
    unsigned address_bits_ = 0;            // of guest physical addresses
    std::vector<std::uint32_t> apic_ids_;  // ascending
    std::vector<std::unique_ptr<hv::x86::Vcpu>> vcpus_;
    VcpuSet vcpu_set_;
};

}  // namespace vmm::machine
