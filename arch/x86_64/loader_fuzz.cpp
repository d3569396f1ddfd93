// A kernel file with any content: whatever it says, it is refused or loaded within guest RAM.
// The first byte chooses the way; the rest is the file.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "support/flat_guest_memory.hpp"
#include "vmm/log.hpp"
#include "x86_64/loader.hpp"

namespace {

using namespace vmm;
using namespace vmm::x86_64;

struct Constant final : EntropySource {
    void fill(std::span<std::byte> out) noexcept override {
        std::ranges::fill(out, std::byte{0x35});
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2)
        return 0;
    log::configure({.level = log::Level::Off, .file = {}});
    UniqueFd fd{::memfd_create("fuzz", MFD_CLOEXEC)};
    if (!fd || ::write(fd.get(), data + 1, size - 1) != static_cast<ssize_t>(size - 1))
        return 0;
    const auto kernel = KernelFile::identify(BootFile{std::move(fd), size - 1, "fuzz"});
    if (!kernel)
        return 0;
    constexpr std::uint64_t kRam = 64 * kMiB;
    test::FlatGuestMemory memory{kRam};
    Constant entropy;
    const LoadRequest request{.ram_size = kRam,
                              .initramfs = {},
                              .command_line = "quiet",
                              .unpack = static_cast<PayloadUnpack>(data[0] % 3),
                              .rsdp = kRsdp,
                              .reserved = {},
                              .kaslr = true,
                              .entropy = (data[0] & 0x80) != 0 ? &entropy : nullptr};
    const auto entry = load(*kernel, request, memory);
    if (entry && (entry->registers.rip >= kRam || entry->system.gdt.base >= kRam))
        __builtin_trap();
    return 0;
}
