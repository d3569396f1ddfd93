// SPDX-License-Identifier: Apache-2.0
// PCI configuration space, ports and BARs under arbitrary accesses.
//
// What must hold: no access crashes, and whatever the guest did before, BARs end up decoded inside
// the windows or not at all.
#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include "pci/host_bridge.hpp"
#include "pci/memory_bar.hpp"
#include "pci/msi.hpp"
#include "pci/msix.hpp"
#include "pci/rom_image.hpp"
#include "support/fake_io_bus.hpp"
#include "support/fake_memory_layout.hpp"
#include "support/fake_msi.hpp"
#include "support/fuzz_input.hpp"
#include "support/recording_irq_line.hpp"
#include "vmm/mutex.hpp"

namespace vmm::pci {
namespace {

constexpr std::uint64_t kEcam = 0xb000'0000;
constexpr Windows kWindows{.io = {0x1000, 0xf000},
                           .memory32 = {0xc000'0000, 0x100'0000},
                           .memory64 = {0x10'0000'0000, 0x100'0000}};

constexpr std::array<std::uint8_t, 0x20> kVendorSpecific{1, 2, 3, 4};
constexpr std::array<std::uint8_t, 0x10> kWritable{0, 0xff, 0x0f, 0xf0};

struct TableRegion final : IoDevice {
    std::uint64_t read(Access access) noexcept override {
        return access.offset < 0x800 ? msix->read_table(access)
                                     : msix->read_pending({access.offset - 0x800, access.size});
    }
    void write(Access access, std::uint64_t value) noexcept override {
        msix->write_table(access, value);
    }
    Mutex& lock() noexcept override { return function->lock(); }
    Function* function = nullptr;
    std::unique_ptr<Msix> msix;
};

struct Inside final : Placement {
    void bar_mapped(unsigned bar, std::uint64_t at) noexcept override {
        const std::uint64_t size = function->bars()[bar].shape.size;
        const auto in = [&](const Window& w) {
            return at >= w.base && size <= w.size && at - w.base <= w.size - size;
        };
        if (!in(kWindows.io) && !in(kWindows.memory32) && !in(kWindows.memory64))
            std::abort();
    }
    void bar_unmapped(unsigned) noexcept override {}
    void after_config_write() noexcept override {}
    Function* function = nullptr;
};

alignas(4096) std::array<std::byte, 0x1000> device_memory;

/// Three functions: one with an expansion ROM and an extended capability, one with memory in a BAR,
/// one with ports and MSI; MSI-X all of them.
struct Machine {
    Machine() {
        functions[0].add_rom(rom);
        functions[1].add_bar(2, {.kind = BarKind::Memory64, .size = 0x1000}, memory_bar, memory);
        constexpr std::array kKinds{BarKind::Memory32, BarKind::Memory64, BarKind::Io};
        for (unsigned i = 0; i < 3; ++i)
            add(i, kKinds[i]);
        functions[0].add_extended_capability(0x0b, 1, kVendorSpecific, kWritable);
        msi = std::move(*Msi::create(functions[2], sink, 4));
        if (!bridge.assign_addresses() || !mmio.map(kEcam, kEcamSize, bridge.ecam()) ||
            !io.map(kCamPort, kCamSize, bridge.cam()))
            std::abort();
    }
    void add(unsigned i, BarKind kind) {
        regions[i].function = &functions[i];
        inside[i].function = &functions[i];
        functions[i].add_bar(0, {.kind = kind, .size = 0x1000}, regions[i]);
        functions[i].set_placement(inside[i]);
        functions[i].use_intx();
        functions[i].add_express();
        regions[i].msix =
            std::move(*Msix::create(functions[i], sink, 5, {.bar = 0, .pending = 0x800}));
        if (!bridge.add(functions[i]))
            std::abort();
    }
    void access(test::FuzzInput& input) {
        constexpr std::array kSizes{AccessSize::Byte, AccessSize::Word, AccessSize::Dword,
                                    AccessSize::Qword};
        const auto what = input.take<std::uint8_t>();
        const auto size = kSizes[what & 3];
        const auto offset = input.take<std::uint16_t>();
        const auto value = input.take<std::uint32_t>();
        test::FakeIoBus& space = (what & 8) != 0 ? io : mmio;
        std::uint64_t at = kEcam + (offset & 0x3fff) + 0x8000u * (what >> 6);
        if ((what & 8) != 0)
            at = (what & 16) != 0 ? offset : kCamPort + offset % 8;
        else if ((what & 16) != 0)
            at = functions[what >> 6 & 1].bar_address(0) + offset % 0x1008;
        if ((what & 4) != 0)
            space.write(at, size, value);
        else
            space.read(at, size);
        functions[offset % 3].set_intx((value & 1) != 0);
        signal(*regions[offset % 3].msix, value % 8);
        if (MessageInterrupts* const kind = active(regions[2].msix.get(), msi.get()))
            signal(*kind, value % 8);
    }
    static void signal(const MessageInterrupts& kind, unsigned source) {
        if (MsiVector* const vector = kind.vector(source))
            vector->signal();
    }

    test::FakeIoBus mmio;
    test::FakeIoBus io;
    test::FakeMemoryLayout layout;
    const std::vector<BarMemory> memory{
        {.memory = {.host = device_memory.data(), .size = device_memory.size()}}};
    MemoryBar memory_bar{memory};
    RomImage rom{std::vector<std::byte>(0x900)};
    test::FakeMsiSink sink;
    std::array<test::RecordingIrqLine, 4> lines;
    std::array<Function, 3> functions{Function{{.vendor = 1}}, Function{{.vendor = 1}},
                                      Function{{.vendor = 1}}};
    std::array<TableRegion, 3> regions;
    std::unique_ptr<Msi> msi;
    std::array<Inside, 3> inside;
    HostBridge bridge{{.windows = kWindows,
                       .mmio = mmio,
                       .io = io,
                       .memory = &layout,
                       .lines = {&lines[0], &lines[1], &lines[2], &lines[3]}}};
};

void run(test::FuzzInput input) {
    Machine machine;
    while (!input.empty())
        machine.access(input);
    machine.bridge.reset();
    // Configuration space, and no BAR.
    if (machine.mmio.count() != 1 || machine.io.count() != 1 || !machine.layout.there.empty())
        std::abort();
}

}  // namespace
}  // namespace vmm::pci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::pci::run({data, size});
    return 0;
}
