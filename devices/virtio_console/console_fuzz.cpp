// SPDX-License-Identifier: Apache-2.0
// A console with two ports whose rings the input writes, while the host reads and types as the
// input says.
//
// What must hold: no access outside of RAM, input that was taken is no more than was offered, and
// every turn ends.
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>

#include "support/fake_byte_sink.hpp"
#include "support/flat_guest_memory.hpp"
#include "support/fuzz_input.hpp"
#include "virtio/ring_fuzz.hpp"
#include "virtio_console/control.hpp"
#include "virtio_console/port.hpp"

namespace vmm::virtio_console {
namespace {

constexpr std::uint64_t kRam = 0x10000;
constexpr std::uint64_t kRingBytes = 0x400;  // for each queue

struct Machine {
    Machine(std::uint8_t options, test::FlatGuestMemory& memory, virtio::Chain& chain) {
        for (std::uint16_t i = 0; i < 2; ++i) {
            sinks.emplace_back();
            ports.emplace_back(
                PortOptions{
                    .name = i == 0 ? "" : "agent", .console = i == 0, .sink = &sinks.back()},
                chain);
        }
        control = std::make_unique<Control>(ports, chain);
        const bool packed = (options & 0x10) != 0;
        const auto size = static_cast<std::uint16_t>(packed ? 1 + options % 16 : 1u << options % 5);
        for (std::uint16_t i = 0; i < 6; ++i) {
            const std::uint64_t at = kRingBytes * i;
            queues.emplace_back(i, std::uint16_t{16}, *EventFd::create(), memory, events);
            if (!queues.back().start({.size = size,
                                      .descriptors = Gpa{at},
                                      .driver = Gpa{at + 0x200},
                                      .device = Gpa{at + 0x300}},
                                     virtio::features_of(options, packed)))
                std::abort();
        }
    }

    void kick(unsigned queue) {
        Port& port = ports[queue < 4 ? 0 : 1];
        if (queue == 2)
            control->give(queues[2]);
        else if (queue == 3)
            control->take(queues[3]);
        else if (queue % 2 == 0)
            port.refilled(queues[queue]);
        else
            port.transmit(queues[queue]);
    }
    void leave(unsigned queue) {
        for (Port& port : ports)
            port.leave(queues[queue]);
        control->leave(queues[queue]);
    }

    virtio::IgnoreEvents events;
    std::deque<virtio::Queue> queues;
    std::deque<test::FakeByteSink> sinks;
    std::deque<Port> ports;
    std::unique_ptr<Control> control;
};

void type(Machine& machine, unsigned port, std::span<const std::uint8_t> bytes) {
    if (machine.ports[port].receive(std::as_bytes(bytes)) > bytes.size())
        std::abort();
}

void step(Machine& machine, test::FuzzInput& input, test::FlatGuestMemory& memory) {
    const auto what = input.take<std::uint8_t>();
    const unsigned number = what >> 3;
    const unsigned port = number % 2;
    switch (what % 8) {
        case 0:
        case 1: {
            const std::uint64_t at =
                kRingBytes * (number % 6) + input.take<std::uint16_t>() % 0x310;
            const auto bytes = input.take_bytes(number + 1);
            std::memcpy(memory.host(Gpa{at}, 0x40), bytes.data(), bytes.size());
            break;
        }
        case 2:
        case 3:
            machine.kick(number % 6);
            break;
        case 4:
            type(machine, port, input.take_bytes(number));
            break;
        case 5:
            machine.sinks[port].room = input.take<std::uint16_t>();
            machine.ports[port].on_room();
            break;
        case 6:
            machine.control->set_size(0, input.take<Size>());
            break;
        default:
            if (number < 6)
                machine.leave(number);
            else
                machine.ports[port].set_open(number % 4 < 2);
            break;
    }
}

}  // namespace
}  // namespace vmm::virtio_console

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    using namespace vmm::virtio_console;
    static test::FlatGuestMemory memory{kRam};
    static virtio::Chain chain;
    test::FuzzInput input{data, size};
    std::memset(memory.host(Gpa{0}, kRam), 0, kRam);
    Machine machine{input.take<std::uint8_t>(), memory, chain};
    while (!input.empty()) {
        step(machine, input, memory);
        for (test::FakeByteSink& sink : machine.sinks)
            sink.seen.clear();
    }
    return 0;
}
