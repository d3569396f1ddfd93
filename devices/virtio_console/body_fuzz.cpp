// SPDX-License-Identifier: Apache-2.0
// The console, plain or with a port beside it, with its worker taken step by step, and a host that
// types, reads and stops reading, in the order of the input.
#include "virtio_support/body_fuzz.hpp"

#include "support/fake_byte_sink.hpp"
#include "virtio_console/console.hpp"

namespace vmm::virtio_console {
namespace {

struct Sinks {
    std::array<test::FakeByteSink, 2> of;
};

void host_turn(test::FuzzInput& input, Console& console, Sinks& sinks, std::size_t ports) {
    const auto what = input.take<std::uint8_t>();
    const std::size_t port = (what >> 4) % ports;
    if (what % 4 == 3) {
        console.set_size(port, input.take<std::uint8_t>(), input.take<std::uint8_t>());
        return;
    }
    const std::scoped_lock held{console.lock()};
    sinks.of.at(port).seen.clear();
    if (what % 4 == 0) {
        const auto bytes = input.take_bytes(what);
        test::BodyFuzz::check(console.port(port).receive(std::as_bytes(bytes)) <= bytes.size());
        return;
    }
    sinks.of.at(port).room = what % 4 == 1 ? input.take<std::uint8_t>() : 0;
    if (what % 4 == 1)
        console.port(port).on_room();
}

}  // namespace
}  // namespace vmm::virtio_console

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    using namespace vmm::virtio_console;
    test::FuzzInput input{data, size};
    Sinks sinks;
    virtio::Stepper stepper;
    const std::size_t ports = 1 + input.take<std::uint8_t>() % 2;
    ConsoleOptions options{.queue_size = 8, .stepper = &stepper};
    for (std::size_t i = 0; i < ports; ++i)
        options.ports.push_back(
            {.name = i == 0 ? "" : "agent", .console = i == 0, .sink = &sinks.of.at(i)});
    const auto console = std::move(Console::create(std::move(options)).value());
    test::BodyFuzz fuzz{*console, stepper, input,
                        [&](test::FuzzInput& more) { host_turn(more, *console, sinks, ports); }};
    while (fuzz.turn()) {
    }
    fuzz.finish();
    return 0;
}
