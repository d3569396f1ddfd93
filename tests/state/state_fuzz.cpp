// SPDX-License-Identifier: Apache-2.0
// States that somebody has written or tampered with, restored into every part that can be saved,
// one after the other; in between the guest goes on with what it was given.
//
// A state is arbitrary bytes, or that of a part at work with some bytes changed and its end cut
// off. What must hold: nothing crashes, a part that refuses a state is as it was before, and
// afterwards it saves a state that it takes, and saves again as the same bytes.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "acpi_power/acpi_power.hpp"
#include "pci/host_bridge.hpp"
#include "pci/msi.hpp"
#include "pci/msix.hpp"
#include "pci/rom_image.hpp"
#include "pci_hotplug/pci_hotplug.hpp"
#include "pl011/pl011.hpp"
#include "pl031/pl031.hpp"
#include "pl061/pl061.hpp"
#include "pvpanic/pvpanic.hpp"
#include "rtc/rtc.hpp"
#include "serial/serial.hpp"
#include "support/fake_byte_sink.hpp"
#include "support/fake_clock.hpp"
#include "support/fake_doorbells.hpp"
#include "support/fake_entropy.hpp"
#include "support/fake_io_bus.hpp"
#include "support/fake_msi.hpp"
#include "support/flat_guest_memory.hpp"
#include "support/fuzz_input.hpp"
#include "support/recording_guest_events.hpp"
#include "support/recording_irq_line.hpp"
#include "support/saved_state.hpp"
#include "virtio/stepper.hpp"
#include "virtio_pci/transport.hpp"
#include "virtio_rng/rng.hpp"
#include "virtio_support/scripted_device.hpp"
#include "vmm/log.hpp"

namespace vmm {
namespace {

using test::State;

constexpr std::uint64_t kEcam = 0xb000'0000;
constexpr std::uint64_t kCard = kEcam + 1 * 0x8000;    // configuration space of slot 1
constexpr std::uint64_t kVirtio = kEcam + 2 * 0x8000;  // and of slot 2
constexpr std::uint64_t kSerial = 0x3f8;
constexpr std::uint64_t kClock = 0x70;
constexpr std::uint64_t kHotplug = 0x610;
constexpr std::uint64_t kUart = 0x900'0000;  // of an Arm board, as the next two
constexpr std::uint64_t kRealTime = 0x901'0000;
constexpr std::uint64_t kButtons = 0x903'0000;
constexpr pci::Windows kWindows{.io = {0x1000, 0xf000},
                                .memory32 = {0xc000'0000, 0x100'0000},
                                .memory64 = {0x10'0000'0000, 0x100'0000}};
constexpr auto kByte = AccessSize::Byte;
constexpr auto kDword = AccessSize::Dword;
constexpr std::array kRings{std::uint64_t{0x1000}, std::uint64_t{0x3000}};
constexpr std::uint64_t kArea = 0x400;  // descriptors, driver, device, one after the other

void check(bool holds) {
    if (!holds)
        std::abort();
}

/// The MSI-X table of the card, and where the bridge puts it.
struct Card final : IoDevice, pci::Placement {
    std::uint64_t read(Access access) noexcept override { return msix->read_table(access); }
    void write(Access access, std::uint64_t value) noexcept override {
        msix->write_table(access, value);
    }
    Mutex& lock() noexcept override { return function.lock(); }

    void bar_mapped(unsigned bar, std::uint64_t at) noexcept override {
        const std::uint64_t size = function.bars()[bar].shape.size;
        const auto in = [&](const pci::Window& w) {
            return at >= w.base && size <= w.size && at - w.base <= w.size - size;
        };
        check(in(kWindows.memory32) || in(kWindows.memory64));
    }
    void bar_unmapped(unsigned) noexcept override {}
    void after_config_write() noexcept override {}

    pci::Function function{{.vendor = 1, .device = 2}};
    pci::RomImage rom{std::vector<std::byte>(0x900)};
    std::unique_ptr<pci::Msix> msix;
    std::unique_ptr<pci::Msi> msi;
};

struct NoHost final : PciHotplugEvents {
    void slot_ejected() noexcept override {}
};

/// Every part that has a state. The machine is paused, but for use().
struct Parts {
    Parts() {
        card.function.add_bar(0, {.kind = pci::BarKind::Memory64, .size = 0x1000}, card);
        card.function.add_rom(card.rom);
        card.function.set_placement(card);
        card.function.use_intx();
        card.function.add_express();
        card.msix = pci::Msix::create(card.function, msi, 3, {.bar = 0, .pending = 0x800}).value();
        card.msi = pci::Msi::create(card.function, msi, 2).value();
        check(bridge.add(card.function) && bridge.add(transport->function()) &&
              bridge.assign_addresses() && mmio.map(kEcam, pci::kEcamSize, bridge.ecam()) &&
              io.map(pci::kCamPort, pci::kCamSize, bridge.cam()) && io.map(kSerial, 8, serial) &&
              io.map(kClock, Rtc::kRegionSize, rtc) &&
              io.map(kHotplug, PciHotplug::kRegionSize, hotplug) &&
              mmio.map(kUart, Pl011::kRegionSize, uart) &&
              mmio.map(kRealTime, Pl031::kRegionSize, real_time) &&
              mmio.map(kButtons, Pl061::kRegionSize, buttons));
        fill_rings();
        transport->ask_pause();
    }
    std::uint64_t bar() { return transport->function().bar_address(0); }

    /// A guest at work, whose state is worth tampering with.
    void work() {
        transport->resume();
        mmio.write16(kCard + 4, 6);
        mmio.write16(kVirtio + 4, 6);
        for (const std::uint64_t vector : {0u, 1u, 2u})
            for (const std::uint64_t table :
                 {card.function.bar_address(0), bar() + virtio_pci::layout::kMsix}) {
                mmio.write32(table + 16 * vector, 0xfee0'1000);
                mmio.write32(table + 16 * vector + 8, 0x40);
                mmio.write32(table + 16 * vector + 12, vector & 1);
            }
        mmio.write16(kVirtio + 0x42, 0x8000);
        start_driver();
        io.write8(kSerial + 2, 0xc1);
        io.write8(kSerial + 1, 1);
        constexpr std::array typed{std::byte{'i'}, std::byte{'n'}};
        serial.receive(typed);
        io.write8(kClock, 0x0b);
        power.press_power_button();
        mmio.write32(kUart + 0x2c, 0x70);
        mmio.write32(kUart + 0x38, 0x50);
        uart.receive(typed);
        mmio.write32(kRealTime + 0x08, 0x1000);
        mmio.write32(kRealTime + 0x04, 0x1000);
        mmio.write32(kButtons + 0x408, 0x18);
        mmio.write32(kButtons + 0x410, 0x18);
        buttons.press(3);
        buttons.press(4);
        mmio.read(kButtons + 0x020, kDword);
        hotplug.device_came(3);
        hotplug.ask_for(4);
        hotplug.ask_for(5);
        io.write32(kHotplug + acpi::pci_hotplug::kEject, 1 << 5);
        transport->ask_pause();
    }
    void start_driver() {
        const std::uint64_t at = bar();
        mmio.write8(at + 0x14, 3);
        mmio.write32(at + 0x08, 1);  // VERSION_1 alone
        mmio.write32(at + 0x0c, 1);
        mmio.write8(at + 0x14, 11);
        for (std::uint16_t queue = 0; queue < kRings.size(); ++queue) {
            mmio.write16(at + 0x16, queue);
            mmio.write16(at + 0x18, 8);
            mmio.write16(at + 0x1a, queue);
            for (std::uint64_t area = 0; area < 3; ++area)
                mmio.write32(at + 0x20 + 8 * area,
                             static_cast<std::uint32_t>(kRings[queue] + kArea * area));
            mmio.write16(at + 0x1c, 1);
        }
        mmio.write8(at + 0x14, 15);
        check(mmio.read8(at + 0x14) == 15);
    }

    /// The guest goes on with whatever was restored, and is reset.
    void use(test::FuzzInput& input) {
        static virtio::Chain chain;
        check(test::restored(bridge, test::saved(bridge)).empty());  // BARs move
        const int activations = device.activations;
        transport->resume();
        for (unsigned i = 0; i < 8; ++i) {
            const auto offset = input.take<std::uint8_t>();
            mmio.read(kCard + offset % 0x100u * 4, kDword);
            mmio.write(bar() + offset % 0x3cu, kByte, offset);
            io.read(kSerial + offset % 8u, kByte);
            io.read(kClock + 1, kByte);
            for (const std::uint64_t cell : {kUart, kRealTime, kButtons}) {
                mmio.write32(cell + offset % 0x20u * 4, offset);
                mmio.read(cell + offset % 0x20u * 4, kDword);
            }
            mmio.write32(kButtons + 0x400 + offset % 9u * 4, offset);
            buttons.press(offset % 8u);
            clock.advance(std::chrono::seconds{offset});
            io.write32(kHotplug + acpi::pci_hotplug::kEject, 0x11u * offset);
            signal(*card.msix, offset);
            signal(*card.msi, offset);
            if (device.activations == activations)
                continue;
            for (virtio::Queue& queue : device.queues) {
                if (queue.enabled() && queue.pop(chain))
                    queue.complete(chain.head(), 1);
                queue.publish();
            }
        }
        serial.on_room();
        uart.on_room();
        transport->ask_reset();
        transport->finish_reset();
        bridge.reset();
        check(!doorbells.wrong && doorbells.connected.empty());
        transport->ask_pause();
    }
    static void signal(const pci::MessageInterrupts& kind, unsigned source) {
        if (MsiVector* const vector = kind.vector(source % 4))
            vector->signal();
    }

    /// Two buffers in each ring, both of the first descriptor: 8 bytes for the device to write.
    void fill_rings() {
        for (const std::uint64_t ring : kRings)
            check(memory.write(Gpa{ring}, std::uint64_t{0x8000}) &&
                  memory.write(Gpa{ring + 8}, std::uint64_t{0x0002'0000'0008}) &&
                  memory.write(Gpa{ring + kArea + 2}, std::uint16_t{2}));
    }

    test::FlatGuestMemory memory{1 << 16};
    test::FakeIoBus mmio;
    test::FakeIoBus io;
    test::FakeMsiSink msi;
    test::FakeDoorbells doorbells;
    test::FakeClock clock;
    test::FakeByteSink out;
    test::FakeEntropy entropy;
    test::RecordingGuestEvents events;
    std::array<test::RecordingIrqLine, 9> lines;
    NoHost hotplug_host;
    Serial serial{lines[4], out};
    Rtc rtc{clock};
    PvPanic panic{events};
    AcpiPower power{events, lines[5]};
    PciHotplug hotplug{hotplug_host, lines[6]};
    Pl011 uart{lines[7], out};
    Pl031 real_time{clock};
    Pl061 buttons{lines[8]};
    virtio::Stepper stepper;
    std::unique_ptr<virtio_rng::Rng> rng =
        virtio_rng::Rng::create({.stepper = &stepper}, entropy).value();
    Card card;
    test::ScriptedDevice device;
    std::unique_ptr<virtio_pci::Transport> transport =
        virtio_pci::Transport::create(device, {memory, msi, &doorbells}, {}).value();
    pci::HostBridge bridge{{.windows = kWindows,
                            .mmio = mmio,
                            .io = io,
                            .lines = {&lines[0], &lines[1], &lines[2], &lines[3]}}};
    std::array<Stateful*, 12> all{&serial,  &rtc,  &panic,         &power,
                                  &hotplug, &*rng, &card.function, transport.get(),
                                  &bridge,  &uart, &real_time,     &buttons};
};

std::vector<State> states_at_work() {
    Parts parts;
    parts.work();
    std::vector<State> states;
    for (Stateful* const part : parts.all)
        states.push_back(test::saved(*part));
    return states;
}

void tamper(State& state, test::FuzzInput& input) {
    const auto what = input.take<std::uint8_t>();
    for (unsigned i = 0; i < what % 8u && !state.empty(); ++i) {
        const std::size_t at = input.take<std::uint16_t>() % state.size();
        state[at] = std::byte{input.take<std::uint8_t>()};
    }
    if (what >= 0xe0)
        state.resize(input.take<std::uint16_t>() % (state.size() + 8));
}

void restore(Stateful& part, const State& state) {
    const State before = test::saved(part);
    StateReader reader{state, "fuzzer"};
    const bool taken = part.restore(reader).has_value();
    const State after = test::saved(part);
    check(taken || after == before);
    check(test::restored(part, after).empty() && test::saved(part) == after);
}

void run(test::FuzzInput input) {
    static const bool quiet = log::configure({.level = log::Level::Off}).has_value();
    static const std::vector<State> good = states_at_work();
    check(quiet);
    Parts parts;
    while (!input.empty()) {
        const auto what = input.take<std::uint8_t>();
        const std::size_t index = what % parts.all.size();
        State state = good[index];
        if ((what & 0x80) != 0) {
            const auto bytes = std::as_bytes(input.take_bytes(input.take<std::uint8_t>()));
            state.assign(bytes.begin(), bytes.end());
        } else {
            tamper(state, input);
        }
        restore(*parts.all[index], state);
        if ((what & 0x40) != 0)
            parts.use(input);
    }
    parts.use(input);
    parts.work();
}

}  // namespace
}  // namespace vmm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::run({data, size});
    return 0;
}
