// SPDX-License-Identifier: Apache-2.0
#include "x86_64/identify.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>

#include "payload/unpack.hpp"
#include "vmm/text.hpp"

namespace vmm::x86_64 {
namespace {

using ByteView = std::span<const std::byte>;

constexpr std::string_view kWhatWorks =
    "Give an x86-64 kernel: a bzImage (Debian: /boot/vmlinuz-*), an ELF vmlinux, or one of these "
    "compressed with gzip, zstd, xz or LZ4";

bool has(ByteView head, std::size_t at, std::string_view magic) {
    return head.size() >= at + magic.size() &&
           std::memcmp(head.data() + at, magic.data(), magic.size()) == 0;
}

template <class T>
std::optional<T> number(ByteView head, std::size_t at) {
    if (head.size() < sizeof(T) || at > head.size() - sizeof(T))
        return std::nullopt;
    T value;
    std::memcpy(&value, head.data() + at, sizeof value);
    return value;
}

Error config(std::string what, std::string_view advice = kWhatWorks) {
    return Error{ErrorKind::Config, std::move(what)}.hint(std::string{advice});
}

std::string_view pe_machine(std::uint16_t machine) {
    switch (machine) {
        case 0x8664:
            return " for x86-64";
        case 0xaa64:
            return " for aarch64 (arm64)";
        case 0x014c:
            return " for 32-bit x86";
        case 0x5064:
            return " for RISC-V";
        default:
            return "";
    }
}

std::optional<Error> explain_pe(ByteView head) {
    if (!has(head, 0, "MZ"))
        return std::nullopt;
    if (has(head, 4, "zimg"))
        return config(
            "an EFI zboot image (a PE file that unpacks a kernel), neither bzImage nor ELF");
    const auto at = number<std::uint32_t>(head, 0x3c);
    if (!at || !has(head, *at, std::string_view{"PE\0\0", 4}))
        return config("a DOS or PE/EFI executable, neither bzImage nor ELF");
    const auto machine = number<std::uint16_t>(head, *at + std::size_t{4}).value_or(0);
    const std::string_view text{reinterpret_cast<const char*>(head.data()), head.size()};
    if (text.find(std::string_view{".linux\0\0", 8}) != std::string_view::npos)
        return config(
            cat("a unified kernel image (PE/EFI executable", pe_machine(machine), ")"),
            "Take the kernel out of it: objcopy -O binary --only-section=.linux IMAGE KERNEL");
    return config(cat("a PE/EFI executable", pe_machine(machine), ", neither bzImage nor ELF"));
}

std::optional<Error> explain_kernel_of_others(ByteView head) {
    if (has(head, 0x38, "ARM\x64"))
        return config("a kernel image for aarch64 (arm64), not x86-64");
    if (has(head, 0x30, "RISCV") || has(head, 0x38, "RSC\x05"))
        return config("a kernel image for RISC-V, not x86-64");
    if (has(head, 0, "\x27\x05\x19\x56"))
        return config("a U-Boot image (uImage), neither bzImage nor ELF");
    if (has(head, 0, "ANDROID!"))
        return config("an Android boot image, neither bzImage nor ELF");
    return std::nullopt;
}

std::optional<Error> explain_other_boot_file(ByteView head) {
    if (has(head, 0, "070701") || has(head, 0, "070702") || has(head, 0, "070707"))
        return config("a cpio archive, not a kernel", "Give an initramfs with --initramfs");
    if (has(head, 0, "QFI\xfb"))
        return config("a qcow2 disk image, not a kernel", "Give disks with --disk");
    if (has(head, 0, "\xd0\x0d\xfe\xed"))
        return config("a device tree, neither bzImage nor ELF");
    const Compression packed = detect_compression(head);
    if (packed != Compression::None)
        return config(cat("compressed with ", name_of(packed), ", which is not supported here"));
    return std::nullopt;
}

bool is_text(ByteView head) {
    const auto sample = head.first(std::min<std::size_t>(head.size(), 512));
    return std::ranges::all_of(sample, [](std::byte byte) {
        const auto c = std::to_integer<unsigned char>(byte);
        return c == '\n' || c == '\t' || c == '\r' || (c >= 0x20 && c != 0x7f);
    });
}

/// The first line as far as it can be shown.
std::string first_line(ByteView head) {
    std::string line;
    for (const std::byte byte : head.first(std::min<std::size_t>(head.size(), 60))) {
        const auto c = std::to_integer<char>(byte);
        if (c < 0x20)
            break;
        line += c;
    }
    return line;
}

}  // namespace

Error explain_unusable(std::span<const std::byte> head) {
    if (auto found = explain_kernel_of_others(head))
        return *std::move(found);
    if (auto found = explain_pe(head))
        return *std::move(found);
    if (auto found = explain_other_boot_file(head))
        return *std::move(found);
    if (has(head, 0, "#!"))
        return config(cat("a script (", first_line(head), "), neither bzImage nor ELF"));
    if (is_text(head))
        return config("a text file, neither bzImage nor ELF");
    const bool zeros =
        std::ranges::all_of(head, [](std::byte byte) { return byte == std::byte{0}; });
    return config(zeros ? "nothing but zeros, neither bzImage nor ELF"
                        : "neither bzImage nor ELF, nor anything else that is known here");
}

}  // namespace vmm::x86_64
