// SPDX-License-Identifier: Apache-2.0
// What the loader's fuzzer does with one input, so that a unit test does the same with each file of
// its corpus. The first byte chooses the way; the rest is the kernel file.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <span>

#include "support/flat_guest_memory.hpp"
#include "x86_64/layout.hpp"
#include "x86_64/loader.hpp"

namespace vmm::x86_64::test {

/// False: taken, and then the guest was to start outside of its RAM.
inline bool refused_or_within_ram(std::span<const std::byte> input) {
    struct Constant final : EntropySource {
        void fill(std::span<std::byte> out) noexcept override {
            std::ranges::fill(out, std::byte{0x35});
        }
    };
    if (input.size() < 2)
        return true;
    const auto way = std::to_integer<unsigned>(input[0]);
    const auto content = input.subspan(1);
    UniqueFd fd{::memfd_create("fuzz", MFD_CLOEXEC)};
    if (!fd ||
        ::write(fd.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size()))
        return true;
    const auto kernel = KernelFile::identify(BootFile{std::move(fd), content.size(), "fuzz"});
    if (!kernel)
        return true;
    constexpr std::uint64_t kRam = 64 * kMiB;
    vmm::test::FlatGuestMemory memory{kRam};
    Constant entropy;
    const LoadRequest request{.ram_size = kRam,
                              .initramfs = {},
                              .command_line = "quiet",
                              .unpack = static_cast<PayloadUnpack>(way % 3),
                              .rsdp = kRsdp,
                              .reserved = {},
                              .kaslr = true,
                              .entropy = (way & 0x80) != 0 ? &entropy : nullptr};
    const auto entry = load(*kernel, request, memory);
    return !entry || (entry->registers.rip < kRam && entry->system.gdt.base < kRam);
}

}  // namespace vmm::x86_64::test
