// SPDX-License-Identifier: Apache-2.0
// The network device with its worker taken step by step, and a host's side that sends, is full,
// hangs up and comes back, in the order of the input.
#include "virtio_support/body_fuzz.hpp"

#include "virtio_net/net.hpp"
#include "virtio_support/fake_net_backend.hpp"
#include "vmm/log.hpp"

namespace vmm::virtio_net {
namespace {

void host_turn(test::FuzzInput& input, test::FakeNetBackend& host, Net& net) {
    const auto what = input.take<std::uint8_t>();
    test::Wire& wire = host.wire((what >> 4) % host.channels());
    switch (what % 9) {
        case 0:
        case 1: {
            const std::string frame(1 + input.take<std::uint16_t>() % 4000u, 'f');
            wire.put(frame);
            break;
        }
        case 2:
            while (wire.take_now()) {
            }
            break;
        case 3:
            wire.cut();
            break;
        case 4:
            wire.stop_sending();
            break;
        case 5:
            host.set_link_up((what & 0x80) != 0);
            break;
        case 6:
            host.refuse_sends = (what & 0x80) != 0;
            break;
        case 7:
            host.keep_short = (what & 0x80) != 0;
            host.full_once = (what & 0x40) != 0;
            break;
        default:
            net.set_link((what & 0x80) != 0);
            break;
    }
}

}  // namespace
}  // namespace vmm::virtio_net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    using namespace vmm::virtio_net;
    test::FuzzInput input{data, size};
    virtio::Stepper stepper;
    auto backend = std::make_unique<test::FakeNetBackend>(1 + input.take<std::uint8_t>() % 2);
    test::FakeNetBackend& host = *backend;
    const auto net =
        std::move(Net::create(std::move(backend), {.queue_size = 8, .stepper = &stepper}).value());
    test::BodyFuzz fuzz{*net, stepper, input,
                        [&](test::FuzzInput& more) { host_turn(more, host, *net); }};
    while (fuzz.turn()) {
    }
    fuzz.finish();
    return 0;
}
