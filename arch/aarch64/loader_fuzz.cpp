// SPDX-License-Identifier: Apache-2.0
// A kernel file with any content: whatever it says, it is refused or loaded within guest RAM.
#include <sys/mman.h>
#include <unistd.h>

#include "aarch64/layout.hpp"
#include "aarch64/loader.hpp"
#include "support/flat_guest_memory.hpp"
#include "vmm/log.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmm;
    log::configure({.level = log::Level::Off, .file = {}});
    UniqueFd fd{::memfd_create("fuzz", MFD_CLOEXEC)};
    if (size == 0 || !fd || ::write(fd.get(), data, size) != static_cast<ssize_t>(size))
        return 0;
    const auto kernel = aarch64::KernelFile::identify(BootFile{std::move(fd), size, "fuzz"});
    if (!kernel)
        return 0;
    constexpr GpaRange kRam{Gpa{0}, 64 * aarch64::kMiB};
    vmm::test::FlatGuestMemory memory{kRam.size};
    const auto entry =
        aarch64::load(*kernel,
                      {.ram = kRam,
                       .initramfs = {},
                       .make_tree = [](GpaRange) { return std::vector<std::byte>(64); }},
                      memory);
    if (entry && !kRam.contains(entry->cpu.pc, 1))
        __builtin_trap();
    return 0;
}
