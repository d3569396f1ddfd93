// SPDX-License-Identifier: Apache-2.0
// The entropy device with its worker taken step by step, in the order of the input.
#include "virtio_support/body_fuzz.hpp"

#include "support/fake_entropy.hpp"
#include "virtio_rng/rng.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    test::FuzzInput input{data, size};
    test::FakeEntropy entropy;
    virtio::Stepper stepper;
    const auto rng =
        std::move(virtio_rng::Rng::create({.queue_size = 8, .stepper = &stepper}, entropy).value());
    test::BodyFuzz fuzz{*rng, stepper, input, [](test::FuzzInput&) {}};
    while (fuzz.turn()) {
    }
    fuzz.finish();
    return 0;
}
