// SPDX-License-Identifier: Apache-2.0
// A kernel file with any content: whatever it says, it is refused or loaded within guest RAM.
#include "vmm/log.hpp"
#include "x86_64/loader_fuzz_body.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    log::configure({.level = log::Level::Off, .file = {}});
    if (!x86_64::test::refused_or_within_ram(std::as_bytes(std::span{data, size})))
        __builtin_trap();
    return 0;
}
