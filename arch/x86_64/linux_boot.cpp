// SPDX-License-Identifier: Apache-2.0
#include "x86_64/linux_boot.hpp"

#include <array>
#include <cstring>

#include "vmm/text.hpp"
#include "x86_64/cpu_state.hpp"
#include "x86_64/memory_map.hpp"

namespace vmm::x86_64 {
namespace {

namespace bp = boot_params;

/// One page, put together on our side and copied once.
class ZeroPage {
public:
    template <class T>
    void set(std::size_t at, T value) {
        std::memcpy(bytes_.data() + at, &value, sizeof value);
    }
    template <class T>
    T get(std::size_t at) const {
        T value;
        std::memcpy(&value, bytes_.data() + at, sizeof value);
        return value;
    }
    void set_halves(std::size_t low, std::size_t high, std::uint64_t value) {
        set(low, static_cast<std::uint32_t>(value));
        set(high, static_cast<std::uint32_t>(value >> 32));
    }

    void put_header(const BzImage* header);
    void put_memory_map(std::uint64_t ram_size);

    std::span<const std::byte> bytes() const { return bytes_; }

private:
    std::array<std::byte, bp::kSize> bytes_{};
};

void ZeroPage::put_header(const BzImage* header) {
    if (header != nullptr) {
        std::memcpy(bytes_.data() + bp::kHeader, header->header.data(), header->header_size);
        return;
    }
    set(bp::kBootFlag, bp::kBootFlagValue);
    set(bp::kMagic, bp::kMagicValue);
    set(bp::kVersion, std::uint16_t{0x20f});
    set(bp::kLoadFlags, bp::kLoadFlagHigh);
    set(bp::kInitrdAddressMax, bp::kUsualInitrdAddressMax);
    set(bp::kKernelAlignment, std::uint32_t{0x20'0000});
    set(bp::kCommandLineSize, bp::kUsualCommandLineSize);
}

void ZeroPage::put_memory_map(std::uint64_t ram_size) {
    constexpr std::size_t kEntrySize = 20;
    std::uint8_t count = 0;
    for (const MemoryMapEntry& entry : memory_map(ram_size)) {
        const std::size_t at = bp::kE820Table + count * kEntrySize;
        set(at, entry.range.first.value());
        set(at + 8, entry.range.size);
        set(at + 16, static_cast<std::uint32_t>(entry.type));
        ++count;
    }
    set(bp::kE820Count, count);
}

}  // namespace

Result<CpuStart> write_linux_boot(const LinuxStart& start, const Handover& handover,
                                  GuestMemory& memory) {
    BootData data{memory};
    const bool long_entry = start.entry == LinuxEntry::Bits64;
    const Gpa zero_page_at = VMM_TRY(data.reserve(bp::kSize, kPageSize, "zero page"));
    const BootGdt gdt = long_entry ? boot_gdt64() : boot_gdt32();
    const Gpa gdt_at =
        VMM_TRY(data.put_array(std::span<const std::uint64_t>{gdt}, "descriptor table"));
    const Gpa command_line = VMM_TRY(data.put_text(handover.command_line, "command line"));

    ZeroPage page;
    page.put_header(start.header);
    page.put_memory_map(handover.ram_size);
    page.set(bp::kTypeOfLoader, bp::kLoaderUnknown);
    page.set(bp::kCode32Start, static_cast<std::uint32_t>(start.load_address.value()));
    page.set_halves(bp::kCommandLine, bp::kCommandLineHigh, command_line.value());
    page.set_halves(bp::kRamdiskImage, bp::kRamdiskImageHigh, handover.initramfs.first.value());
    page.set_halves(bp::kRamdiskSize, bp::kRamdiskSizeHigh, handover.initramfs.size);
    page.set(bp::kAcpiRsdp, handover.rsdp.value_or(Gpa{}).value());
    if (handover.entropy) {
        bp::RngSeed seed;
        handover.entropy->fill(seed.seed);
        const Gpa at =
            VMM_TRY(data.put_array(std::span<const bp::RngSeed>{&seed, 1}, "random seed"));
        page.set(bp::kSetupData, at.value());
    }
    if (start.kaslr)
        page.set<std::uint8_t>(bp::kLoadFlags,
                               page.get<std::uint8_t>(bp::kLoadFlags) | bp::kLoadFlagKaslr);
    VMM_TRY(data.fill(zero_page_at, page.bytes(), "zero page"));

    CpuStart cpu{.registers = {.rsi = zero_page_at.value(), .rip = handover.entry.value()},
                 .system = {}};
    if (long_entry) {
        const Gpa tables = VMM_TRY(data.put_page_tables());
        cpu.system = long_mode(gdt_at.value(), tables.value());
    } else {
        cpu.system = protected_mode(gdt_at.value());
    }
    return cpu;
}

}  // namespace vmm::x86_64
