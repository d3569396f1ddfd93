// SPDX-License-Identifier: Apache-2.0
// Linux's "zero page" and the set-up header inside it and inside a bzImage.
//
// Spec: Linux Documentation/arch/x86/boot.rst (protocol 2.10 to 2.15) and zero-page.rst. Little
// endian. Offsets in a bzImage and in the zero page are the same.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace vmm::x86_64::boot_params {

inline constexpr std::size_t kSize = 4096;

// Outside the set-up header: offset, width, meaning
inline constexpr std::size_t kAcpiRsdp = 0x070;          // 64  where the RSDP is
inline constexpr std::size_t kRamdiskImageHigh = 0x0c0;  // 32  upper halves
inline constexpr std::size_t kRamdiskSizeHigh = 0x0c4;   // 32
inline constexpr std::size_t kCommandLineHigh = 0x0c8;   // 32
inline constexpr std::size_t kE820Count = 0x1e8;         //  8
inline constexpr std::size_t kE820Table = 0x2d0;         // entries of 20 bytes

// The set-up header
inline constexpr std::size_t kHeader = 0x1f1;
inline constexpr std::size_t kSetupSects = 0x1f1;     //  8  512-byte sectors of real-mode code
inline constexpr std::size_t kSystemSize = 0x1f4;     // 32  protected-mode code, in 16 bytes
inline constexpr std::size_t kBootFlag = 0x1fe;       // 16  0xaa55
inline constexpr std::size_t kJump = 0x200;           // 16  second byte + 0x202: end of the header
inline constexpr std::size_t kMagic = 0x202;          // 32  "HdrS"
inline constexpr std::size_t kVersion = 0x206;        // 16
inline constexpr std::size_t kKernelVersion = 0x20e;  // 16  text, + 0x200
inline constexpr std::size_t kTypeOfLoader = 0x210;   //  8
inline constexpr std::size_t kLoadFlags = 0x211;      //  8
inline constexpr std::size_t kCode32Start = 0x214;    // 32
inline constexpr std::size_t kRamdiskImage = 0x218;   // 32
inline constexpr std::size_t kRamdiskSize = 0x21c;    // 32
inline constexpr std::size_t kCommandLine = 0x228;    // 32
inline constexpr std::size_t kInitrdAddressMax = 0x22c;  // 32  last byte it may use
inline constexpr std::size_t kKernelAlignment = 0x230;   // 32
inline constexpr std::size_t kRelocatable = 0x234;       //  8
inline constexpr std::size_t kXLoadFlags = 0x236;        // 16
inline constexpr std::size_t kCommandLineSize = 0x238;   // 32  without the final zero
inline constexpr std::size_t kPayloadOffset = 0x248;     // 32  from the protected-mode code
inline constexpr std::size_t kPayloadLength = 0x24c;     // 32
inline constexpr std::size_t kSetupData = 0x250;         // 64  list of SetupData
inline constexpr std::size_t kPreferredAddress = 0x258;  // 64
inline constexpr std::size_t kInitSize = 0x260;          // 32
inline constexpr std::size_t kHeaderEndMost = 0x290;     // edd_mbr_sig_buffer follows

inline constexpr std::uint32_t kMagicValue = 0x5372'6448;  // "HdrS"
inline constexpr std::uint16_t kBootFlagValue = 0xaa55;
inline constexpr std::uint8_t kLoaderUnknown = 0xff;
inline constexpr std::uint8_t kLoadFlagHigh = 0x01;   // LOADED_HIGH: a bzImage
inline constexpr std::uint8_t kLoadFlagKaslr = 0x02;  // the kernel's addresses were randomised
inline constexpr std::uint16_t kXLoadFlagKernel64 = 0x0001;
/// XLF_CAN_BE_LOADED_ABOVE_4G: the 64-bit entry takes addresses and sizes of 64 bits.
inline constexpr std::uint16_t kXLoadFlagAbove4G = 0x0002;

/// An element of the setup_data list, with the seed in it (SETUP_RNG_SEED, since Linux 6.0; others
/// skip it). The kernel wipes it after use.
struct RngSeed {
    static constexpr std::uint32_t kType = 9;
    std::uint64_t next = 0;
    std::uint32_t type = kType;
    std::uint32_t length = 32;
    std::array<std::byte, 32> seed{};
};
static_assert(sizeof(RngSeed) == 48);

/// What kernels accept that do not say: COMMAND_LINE_SIZE without the final zero.
inline constexpr std::uint32_t kUsualCommandLineSize = 2047;
inline constexpr std::uint32_t kUsualInitrdAddressMax = 0x7fff'ffff;

}  // namespace vmm::x86_64::boot_params
