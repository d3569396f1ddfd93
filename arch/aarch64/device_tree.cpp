// SPDX-License-Identifier: Apache-2.0
#include "aarch64/device_tree.hpp"

#include <array>
#include <cstring>
#include <utility>

#include "aarch64/layout.hpp"
#include "fdt/fdt.hpp"
#include "vmm/text.hpp"

namespace vmm::aarch64 {
namespace {

using fdt::high;
using fdt::low;
using fdt::Writer;
using hv::arm::GicVersion;

// Phandles of the nodes that others name.
constexpr std::uint32_t kGic = 1, kItsNode = 2, kClock = 3, kGpioNode = 4, kFirstCpu = 5;

// The first cell of an interrupt, and its last.
constexpr std::uint32_t kSpi = 0, kPpi = 1;
constexpr std::uint32_t kLevel = 4;

constexpr std::string_view kUartNode = "serial";

/// Writes the nodes of one board.
class Tree {
public:
    explicit Tree(const Board& board) : board_{board} {}

    std::vector<std::byte> write();

private:
    bool has_its() const { return board_.gic_version == GicVersion::V3; }
    std::uint32_t ppi_flags() const;
    std::size_t write_cores(std::size_t first_cpu);

    void write_chosen();
    void write_seeds();
    void write_memory();
    void write_cpus();
    void write_cpu_map();
    void write_psci();
    void write_timer();
    void write_pmu();
    void write_gic();
    void write_its();
    void write_clock();
    void write_primecell(std::string_view compatible, GpaRange registers);
    void write_spi(hv::Gsi interrupt);
    void write_uart();
    void write_rtc();
    void write_gpio();
    void write_power_button();
    void write_pci();
    void write_pci_ranges();
    void write_pci_pins();

    const Board& board_;
    Writer tree_;
};

// A GICv2's private interrupts say for which CPUs they are.
std::uint32_t Tree::ppi_flags() const {
    if (has_its())
        return kLevel;
    return kLevel | ((1u << board_.mpidrs.size()) - 1) << 8;
}

void Tree::write_chosen() {
    const auto chosen = tree_.node("chosen");
    tree_.text("bootargs", board_.command_line);
    if (board_.uart)
        tree_.text("stdout-path", cat('/', fdt::unit_name(kUartNode, kUart.first)));
    if (board_.initramfs.size != 0) {
        tree_.number64("linux,initrd-start", board_.initramfs.first.value());
        tree_.number64("linux,initrd-end", end_of(board_.initramfs));
    }
    write_seeds();
}

void Tree::write_seeds() {
    std::array<std::uint32_t, 16> seed{};
    if (board_.seed.size() < sizeof seed)
        return;
    std::memcpy(seed.data(), board_.seed.data(), sizeof seed);
    tree_.cells("kaslr-seed", std::span{seed}.first(2));
    tree_.cells("rng-seed", std::span{seed}.subspan(2));
}

void Tree::write_memory() {
    const auto memory = tree_.node("memory", board_.ram.first);
    tree_.text("device_type", "memory");
    tree_.ranges("reg", {board_.ram});
}

void Tree::write_cpus() {
    const auto cpus = tree_.node("cpus");
    tree_.cells("#address-cells", {2});
    tree_.cells("#size-cells", {0});
    constexpr std::uint64_t kAffinity = 0xff'00ff'ffff;
    std::uint32_t phandle = kFirstCpu;
    for (const std::uint64_t mpidr : board_.mpidrs) {
        const std::uint64_t affinity = mpidr & kAffinity;
        const auto cpu = tree_.node("cpu", Gpa{affinity});
        tree_.text("device_type", "cpu");
        tree_.text("compatible", "arm,armv8");
        tree_.text("enable-method", "psci");
        tree_.number64("reg", affinity);
        tree_.cells("phandle", {phandle++});
    }
    write_cpu_map();
}

void Tree::write_cpu_map() {
    const auto map = tree_.node("cpu-map");
    std::size_t cpu = 0;
    for (std::uint32_t socket = 0; socket < board_.cpu_map.sockets; ++socket) {
        const auto in_socket = tree_.node(cat("socket", socket));
        for (std::uint32_t cluster = 0; cluster < board_.cpu_map.clusters; ++cluster) {
            const auto in_cluster = tree_.node(cat("cluster", cluster));
            cpu = write_cores(cpu);
        }
    }
}

std::size_t Tree::write_cores(std::size_t first_cpu) {
    auto cpu = static_cast<std::uint32_t>(first_cpu);
    const auto [sockets, clusters, cores, threads] = board_.cpu_map;
    for (std::uint32_t core = 0; core < cores; ++core) {
        const auto in_core = tree_.node(cat("core", core));
        if (threads == 1)
            tree_.cells("cpu", {kFirstCpu + cpu++});
        else
            for (std::uint32_t thread = 0; thread < threads; ++thread) {
                const auto node = tree_.node(cat("thread", thread));
                tree_.cells("cpu", {kFirstCpu + cpu++});
            }
    }
    return cpu;
}

void Tree::write_psci() {
    const auto psci = tree_.node("psci");
    tree_.texts("compatible", {"arm,psci-1.0", "arm,psci-0.2"});
    tree_.text("method", "hvc");
}

void Tree::write_timer() {
    const auto timer = tree_.node("timer");
    tree_.text("compatible", "arm,armv8-timer");
    tree_.flag("always-on");
    const std::uint32_t flags = ppi_flags();
    tree_.cells("interrupts", {kPpi, kSecureTimerPpi, flags, kPpi, kTimerPpi, flags, kPpi,
                               kVirtualTimerPpi, flags, kPpi, kHypervisorTimerPpi, flags});
}

void Tree::write_pmu() {
    if (!board_.pmu)
        return;
    const auto pmu = tree_.node("pmu");
    tree_.text("compatible", "arm,armv8-pmuv3");
    tree_.cells("interrupts", {kPpi, hv::arm::kPmuPpi, ppi_flags()});
}

void Tree::write_gic() {
    const auto gic = tree_.node("interrupt-controller", kDistributor.first);
    tree_.text("compatible", has_its() ? "arm,gic-v3" : "arm,cortex-a15-gic");
    tree_.flag("interrupt-controller");
    tree_.cells("#interrupt-cells", {3});
    tree_.cells("#address-cells", {2});
    tree_.cells("#size-cells", {2});
    tree_.flag("ranges");
    std::vector<GpaRange> registers{board_.gic.distributor};
    if (has_its()) {
        const auto& more = board_.gic.redistributors;
        registers.insert(registers.end(), more.begin(), more.end());
        tree_.cells("#redistributor-regions", {static_cast<std::uint32_t>(more.size())});
    } else {
        registers.push_back(board_.gic.cpu_interface);
    }
    tree_.ranges("reg", registers);
    tree_.cells("phandle", {kGic});
    if (has_its())
        write_its();
}

void Tree::write_its() {
    const auto its = tree_.node("msi-controller", board_.gic.its.first);
    tree_.text("compatible", "arm,gic-v3-its");
    tree_.flag("msi-controller");
    tree_.cells("#msi-cells", {1});
    tree_.ranges("reg", {board_.gic.its});
    tree_.cells("phandle", {kItsNode});
}

void Tree::write_clock() {
    const auto clock = tree_.node("apb-pclk");
    tree_.text("compatible", "fixed-clock");
    tree_.cells("#clock-cells", {0});
    tree_.cells("clock-frequency", {24'000'000});
    tree_.text("clock-output-names", "clk24mhz");
    tree_.cells("phandle", {kClock});
}

void Tree::write_primecell(std::string_view compatible, GpaRange registers) {
    tree_.texts("compatible", {compatible, "arm,primecell"});
    tree_.ranges("reg", {registers});
}

void Tree::write_spi(hv::Gsi interrupt) {
    tree_.cells("interrupts", {kSpi, std::to_underlying(interrupt), kLevel});
}

void Tree::write_uart() {
    if (!board_.uart)
        return;
    const auto uart = tree_.node(kUartNode, kUart.first);
    write_primecell("arm,pl011", kUart);
    write_spi(kUartSpi);
    tree_.cells("clocks", {kClock, kClock});
    tree_.texts("clock-names", {"uartclk", "apb_pclk"});
}

// Its alarm is not there: a driver that was promised an interrupt would wait for it.
void Tree::write_rtc() {
    const auto rtc = tree_.node("rtc", kRtc.first);
    write_primecell("arm,pl031", kRtc);
    tree_.cells("clocks", {kClock});
    tree_.text("clock-names", "apb_pclk");
}

void Tree::write_gpio() {
    const auto gpio = tree_.node("gpio", kGpio.first);
    write_primecell("arm,pl061", kGpio);
    write_spi(kGpioSpi);
    tree_.cells("clocks", {kClock});
    tree_.text("clock-names", "apb_pclk");
    tree_.flag("gpio-controller");
    tree_.cells("#gpio-cells", {2});
    tree_.flag("interrupt-controller");
    tree_.cells("#interrupt-cells", {2});
    tree_.cells("#address-cells", {0});
    tree_.cells("phandle", {kGpioNode});
}

void Tree::write_power_button() {
    constexpr std::uint32_t kKeyPower = 116, kActiveHigh = 0;  // Linux input-event-codes.h, gpio.h
    const auto keys = tree_.node("gpio-keys");
    tree_.text("compatible", "gpio-keys");
    const auto button = tree_.node("power-key");
    tree_.text("label", "Power Button");
    tree_.cells("linux,code", {kKeyPower});
    tree_.cells("gpios", {kGpioNode, kPowerLine, kActiveHigh});
}

void Tree::write_pci() {
    const auto pci = tree_.node("pcie", kEcam.first);
    tree_.text("compatible", "pci-host-ecam-generic");
    tree_.text("device_type", "pci");
    tree_.cells("#address-cells", {3});
    tree_.cells("#size-cells", {2});
    tree_.cells("#interrupt-cells", {1});
    tree_.cells("bus-range", {0, 0});
    tree_.cells("linux,pci-domain", {0});
    tree_.flag("dma-coherent");
    tree_.ranges("reg", {kEcam});
    write_pci_ranges();
    if (has_its())
        tree_.cells("msi-map", {0, kItsNode, 0, 0x1'0000});
    write_pci_pins();
}

// The same addresses on both sides.
void Tree::write_pci_ranges() {
    constexpr std::uint32_t kMemory32 = 0x0200'0000, kMemory64 = 0x0300'0000;
    std::vector<std::uint32_t> cells;
    const auto add = [&cells](std::uint32_t space, GpaRange range) {
        const std::uint64_t at = range.first.value();
        cells.insert(cells.end(), {space, high(at), low(at), high(at), low(at), high(range.size),
                                   low(range.size)});
    };
    add(kMemory32, kPciMemory32);
    if (board_.pci_memory64.size != 0)
        add(kMemory64, board_.pci_memory64);
    tree_.cells("ranges", cells);
}

// The interrupt of each pin of each slot: four of them repeat.
void Tree::write_pci_pins() {
    constexpr std::uint32_t kLines = 4;
    std::vector<std::uint32_t> map;
    for (std::uint32_t slot = 0; slot < kLines; ++slot)
        for (std::uint32_t pin = 1; pin <= kLines; ++pin)
            map.insert(map.end(), {slot << 11, 0, 0, pin, kGic, 0, 0, kSpi,
                                   kPciFirstSpi + (slot + pin - 1) % kLines, kLevel});
    tree_.cells("interrupt-map-mask", {(kLines - 1) << 11, 0, 0, 7});
    tree_.cells("interrupt-map", map);
}

std::vector<std::byte> Tree::write() {
    {
        const auto root = tree_.node("");
        tree_.text("compatible", "linux,dummy-virt");
        tree_.text("model", "vmm");
        tree_.cells("#address-cells", {2});
        tree_.cells("#size-cells", {2});
        tree_.cells("interrupt-parent", {kGic});
        write_chosen();
        write_memory();
        write_cpus();
        write_psci();
        write_timer();
        write_pmu();
        write_gic();
        write_clock();
        write_uart();
        write_rtc();
        write_gpio();
        write_power_button();
        write_pci();
    }
    return tree_.finish();
}

}  // namespace

std::vector<std::byte> device_tree(const Board& board) {
    return Tree{board}.write();
}

}  // namespace vmm::aarch64
