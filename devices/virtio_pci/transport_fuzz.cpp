// SPDX-License-Identifier: Apache-2.0
// A virtio function under arbitrary accesses to its BARs and configuration space, while its device
// takes chains, drains late and asks for resets.
//
// What must hold: nothing crashes, and after all of it a reset and a proper start work.
#include <array>
#include <cstdlib>
#include <memory>

#include "pci/host_bridge.hpp"
#include "support/fake_doorbells.hpp"
#include "support/fake_io_bus.hpp"
#include "support/fake_memory_layout.hpp"
#include "support/fake_msi.hpp"
#include "support/flat_guest_memory.hpp"
#include "support/fuzz_input.hpp"
#include "support/recording_irq_line.hpp"
#include "virtio_pci/transport.hpp"
#include "virtio_support/scripted_device.hpp"

namespace vmm::virtio_pci {
namespace {

constexpr std::uint64_t kEcam = 0xb000'0000;
constexpr std::uint64_t kBar = 0xc000'0000;
constexpr std::array kSizes{AccessSize::Byte, AccessSize::Word, AccessSize::Dword,
                            AccessSize::Qword};
constexpr std::uint64_t kPorts = 0x1000;
constexpr std::uint64_t kShared = 0x10'0000'0000;
constexpr std::uint64_t kPortBytes = 8;  // of its port BAR: two queues

void serve(test::ScriptedDevice& device, virtio::Chain& chain) {
    for (virtio::Queue& queue : device.queues) {
        if (queue.enabled() && queue.pop(chain))
            queue.complete(chain.head(), 1);
        queue.publish();
    }
}

/// The BAR, its first registers more often, or configuration space.
std::uint64_t address_of(std::uint8_t what, std::uint16_t offset) {
    if ((what & 16) != 0)
        return kEcam + 0x8000 + offset % 0x100;
    return kBar + offset % ((what & 8) != 0 ? 0x40 : 0x4000);
}

/// Whatever happened, the guest can begin again.
void begin_again(test::FakeIoBus& mmio) {
    mmio.write16(kEcam + 0x8004, 6);
    mmio.write32(kBar + 0x08, 1);
    mmio.write32(kBar + 0x0c, 1);
    mmio.write8(kBar + 0x14, 15);
    if (mmio.read8(kBar + 0x14) != 15)
        std::abort();
}

void run(test::FuzzInput input) {
    static test::FlatGuestMemory memory{1 << 16};
    static virtio::Chain chain;
    test::FakeMsiSink msi;
    test::FakeDoorbells doorbells;
    test::FakeIoBus mmio;
    test::FakeIoBus io;
    std::array<test::RecordingIrqLine, 4> lines;
    test::FakeMemoryLayout layout;
    alignas(4096) static std::array<std::byte, 4096> shared;
    test::ScriptedDevice device;
    device.shared = {{.id = 1, .memory = {shared.data(), shared.size()}}};
    auto transport =
        std::move(*Transport::create(device, {memory, msi, &doorbells}, {.ports = true}));
    pci::HostBridge bridge{{.windows = {.io = {kPorts, 0x1000},
                                        .memory32 = {kBar, 0x10'0000},
                                        .memory64 = {kShared, 0x10'0000}},
                            .mmio = mmio,
                            .io = io,
                            .memory = &layout,
                            .lines = {&lines[0], &lines[1], &lines[2], &lines[3]}}};
    if (!bridge.add(transport->function()) || !bridge.assign_addresses() ||
        !mmio.map(kEcam, pci::kEcamSize, bridge.ecam()))
        std::abort();
    mmio.write16(kEcam + 0x8004, 7);

    bool asked = false;  // for a reset that was not answered yet
    while (!input.empty()) {
        const auto what = input.take<std::uint8_t>();
        const auto size = kSizes[what & 3];
        const auto offset = input.take<std::uint16_t>();
        const std::uint64_t at = address_of(what, offset);
        const int resets = device.resets;
        if ((offset & 0x8000) != 0)
            io.write(kPorts + offset % (2 * kPortBytes),
                     size == AccessSize::Qword ? AccessSize::Byte : size, offset);
        else if ((what & 4) != 0)
            mmio.write(at, size, input.take<std::uint32_t>());
        else
            mmio.read(at, size);
        asked = asked || (device.resets != resets && !device.answers_at_once);
        if (what >= 0xf0 && asked) {
            device.link->reset_done();
            asked = false;
        }
        if (!asked) {
            device.answers_at_once = (what & 32) == 0;
            if (device.activations > 0)
                serve(device, chain);
        }
    }

    device.answers_at_once = true;
    if (asked)
        device.link->reset_done();
    transport->ask_reset();
    transport->finish_reset();
    bridge.reset();
    begin_again(mmio);
    if (doorbells.wrong || layout.there.size() != 1)
        std::abort();
}

}  // namespace
}  // namespace vmm::virtio_pci

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::virtio_pci::run({data, size});
    return 0;
}
