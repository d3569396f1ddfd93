// SPDX-License-Identifier: Apache-2.0
// Moves an unpacked Linux kernel to another virtual address, as its own decompressor would have
// done: address space layout randomisation for kernels that the host unpacks.
//
// Only virtual addresses move (nearly 500 places, as many as Linux itself has there); the kernel
// stays where it is in physical memory. Linux randomises its direct map and vmalloc area by itself
// once KASLR_FLAG is set.
// Format: Linux arch/x86/tools/relocs.c and arch/x86/boot/compressed/misc.c. Behind the ELF file
// come lists of 32-bit places, each list started by a zero word and read from its end: addresses of
// 64-bit pointers, of negated 32-bit per-CPU offsets (until Linux 6.14), of 32-bit pointers. A
// place is the sign-extended virtual address that the kernel was linked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "payload/place_elf.hpp"
#include "vmm/error.hpp"

namespace vmm::x86_64 {

/// Where Linux maps its own image: physical address 0 of what it was linked for.
inline constexpr std::uint64_t kKernelMapStart = 0xffff'ffff'8000'0000;
inline constexpr std::uint64_t kKernelMapSize = 0x4000'0000;  ///< KERNEL_IMAGE_SIZE

/// The lists, as they follow the ELF file. Empty if `appended` is not of the known shape.
struct RelocationLists {
    std::span<const std::byte> pointers64;
    std::span<const std::byte> negated32;
    std::span<const std::byte> pointers32;

    bool empty() const { return pointers64.empty() && pointers32.empty(); }
};

RelocationLists split_relocations(std::span<const std::byte> appended);

/// Adds `delta` to every place. `image` is the kernel in memory, its first byte linked for
/// kKernelMapStart + `physical`. False, and nothing more changed, if a place is outside of it.
[[nodiscard]] bool relocate(const RelocationLists& lists, std::span<std::byte> image,
                            std::uint64_t physical, std::uint64_t delta);

/// Moves a kernel by `delta`, as the lists after its ELF file say.
class KaslrMove final : public ElfRelocator {
public:
    explicit KaslrMove(std::uint64_t delta) : delta_{delta} {}

    Result<bool> relocate(std::span<const std::byte> appended, std::span<std::byte> image,
                          std::uint64_t physical) const override;

private:
    std::uint64_t delta_;
};

/// The distance to move by, from a random number; zero is one of the possible answers.
std::uint64_t kaslr_delta(std::uint64_t random, std::uint64_t physical, std::uint64_t size,
                          std::uint64_t alignment);

}  // namespace vmm::x86_64
