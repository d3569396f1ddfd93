// SPDX-License-Identifier: Apache-2.0
#include "payload/identify.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "payload/unpack.hpp"
#include "vmm/printable.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

using ByteView = std::span<const std::byte>;

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

// By bytes 4 and 5 of a PE header.
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

/// Looks at one head for one kind of wanted kernel.
class Explanation {
public:
    Explanation(ByteView head, const WantedKernel& wanted) : head_{head}, wanted_{wanted} {}

    Error find() const;

private:
    Error config(std::string what) const { return config(std::move(what), wanted_.advice); }
    static Error config(std::string what, std::string_view advice) {
        return Error{ErrorKind::Config, std::move(what)}.hint(std::string{advice});
    }
    Error other_format(std::string_view what) const {
        return config(cat(what, ", ", wanted_.formats));
    }
    Error other_machine(std::string_view what) const {
        return config(cat(what, ", not ", wanted_.machine));
    }

    std::optional<Error> pe() const;
    std::optional<Error> kernel_of_others() const;
    std::optional<Error> other_boot_file() const;

    ByteView head_;
    const WantedKernel& wanted_;
};

std::optional<Error> Explanation::pe() const {
    if (!has(head_, 0, "MZ"))
        return std::nullopt;
    if (has(head_, 4, "zimg"))
        return other_format("an EFI zboot image (a PE file that unpacks a kernel)");
    const auto at = number<std::uint32_t>(head_, 0x3c);
    if (!at || !has(head_, *at, std::string_view{"PE\0\0", 4}))
        return other_format("a DOS or PE/EFI executable");
    const auto machine = number<std::uint16_t>(head_, *at + std::size_t{4}).value_or(0);
    const std::string_view text{reinterpret_cast<const char*>(head_.data()), head_.size()};
    if (text.find(std::string_view{".linux\0\0", 8}) != std::string_view::npos)
        return config(
            cat("a unified kernel image (PE/EFI executable", pe_machine(machine), ")"),
            "Take the kernel out of it: objcopy -O binary --only-section=.linux IMAGE KERNEL");
    return other_format(cat("a PE/EFI executable", pe_machine(machine)));
}

std::optional<Error> Explanation::kernel_of_others() const {
    if (has(head_, 0x202, "HdrS"))
        return other_machine("a bzImage, a kernel for x86");
    if (has(head_, 0x38, "ARM\x64"))
        return other_machine("a kernel image for aarch64 (arm64)");
    if (has(head_, 0x30, "RISCV") || has(head_, 0x38, "RSC\x05"))
        return other_machine("a kernel image for RISC-V");
    if (has(head_, 0, "\x27\x05\x19\x56"))
        return other_format("a U-Boot image (uImage)");
    if (has(head_, 0, "ANDROID!"))
        return other_format("an Android boot image");
    return std::nullopt;
}

std::optional<Error> Explanation::other_boot_file() const {
    if (has(head_, 0, "070701") || has(head_, 0, "070702") || has(head_, 0, "070707"))
        return config("a cpio archive, not a kernel", "Give an initramfs with --initramfs");
    if (has(head_, 0, "QFI\xfb"))
        return config("a qcow2 disk image, not a kernel", "Give disks with --disk");
    if (has(head_, 0, "\xd0\x0d\xfe\xed"))
        return other_format("a device tree");
    const Compression packed = detect_compression(head_);
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
        if (!is_printable(c))
            break;
        line += c;
    }
    return line;
}

Error Explanation::find() const {
    if (auto found = kernel_of_others())
        return *std::move(found);
    if (auto found = pe())
        return *std::move(found);
    if (auto found = other_boot_file())
        return *std::move(found);
    if (has(head_, 0, "#!"))
        return other_format(cat("a script (", first_line(head_), ")"));
    if (is_text(head_))
        return other_format("a text file");
    if (std::ranges::all_of(head_, [](std::byte byte) { return byte == std::byte{0}; }))
        return other_format("nothing but zeros");
    return config(cat(wanted_.formats, ", nor anything else that is known here"));
}

}  // namespace

Error explain_unusable(std::span<const std::byte> head, const WantedKernel& wanted) {
    return Explanation{head, wanted}.find();
}

}  // namespace vmm
