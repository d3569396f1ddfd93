// SPDX-License-Identifier: Apache-2.0
#include "pci/function.hpp"

#include <bit>
#include <utility>

#include "vmm/assert.hpp"
#include "vmm/host_page.hpp"
#include "vmm/register.hpp"

namespace vmm::pci {
namespace {

// Type 0 header. Spec: PCI 3.0, 6.1 (figure 6-1).
//    offset, width, access, meaning
constexpr unsigned kVendorId = 0x00;           // 16 r-
constexpr unsigned kDeviceId = 0x02;           // 16 r-
constexpr unsigned kCommand = 0x04;            // 16 rw
constexpr unsigned kStatus = 0x06;             // 16 r-  its error bits are never set
constexpr unsigned kRevision = 0x08;           //  8 r-
constexpr unsigned kClassCode = 0x09;          // 24 r-
constexpr unsigned kCacheLineSize = 0x0c;      //  8 rw  without effect
constexpr unsigned kBar0 = 0x10;               // 32 rw  six of them
constexpr unsigned kSubsystemVendorId = 0x2c;  // 16 r-
constexpr unsigned kSubsystemId = 0x2e;        // 16 r-
constexpr unsigned kRomAddress = 0x30;         // 32 rw  bit 0: enable
constexpr unsigned kCapabilityPointer = 0x34;  //  8 r-
constexpr unsigned kInterruptLine = 0x3c;      //  8 rw  for the guest to remember
constexpr unsigned kInterruptPin = 0x3d;       //  8 r-

struct Command : Register<Command, std::uint16_t> {
    using Register::Register;
    static constexpr Bit<Command, 0> io_space{};
    static constexpr Bit<Command, 1> memory_space{};
    static constexpr Bit<Command, 2> bus_master{};
    static constexpr Bit<Command, 6> parity_error{};
    static constexpr Bit<Command, 8> serr{};
    static constexpr Bit<Command, 10> interrupt_disable{};
};

constexpr std::uint16_t kAlwaysWritable = Command{}
                                              .with(Command::bus_master, true)
                                              .with(Command::parity_error, true)
                                              .with(Command::serr, true)
                                              .with(Command::interrupt_disable, true)
                                              .raw();

constexpr std::uint32_t kStatusInterrupt = 1u << 3;
constexpr std::uint16_t kStatusCapabilities = 1u << 4;

// Low bits of a base address. Spec: 6.2.5.1.
constexpr std::uint32_t kBarIo = 1;
constexpr std::uint32_t kBar64 = 2u << 1;
constexpr std::uint32_t kBarPrefetchable = 1u << 3;
constexpr std::uint32_t kIoFlags = 3;
constexpr std::uint32_t kMemoryFlags = 15;

// Of the expansion ROM's. Spec: 6.2.5.2.
constexpr std::uint32_t kRomEnable = 1;
constexpr std::uint32_t kRomFlags = 0x7ff;

constexpr std::uint8_t kExpressId = 0x10;
constexpr unsigned kCapabilityHeader = 2;  // bytes: id, next
constexpr unsigned kExtendedHeader = 4;    // bytes

constexpr unsigned bar_offset(unsigned index) {
    return index == kRomBar ? kRomAddress : kBar0 + 4 * index;
}

template <class T>
void put(std::span<std::uint8_t> bytes, unsigned offset, T value) {
    for (unsigned i = 0; i < sizeof(T); ++i)
        bytes[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

}  // namespace

Function::Function(const Identity& identity) {
    space_.put(kVendorId, identity.vendor);
    space_.put(kDeviceId, identity.device);
    space_.put(kSubsystemVendorId, identity.subsystem_vendor);
    space_.put(kSubsystemId, identity.subsystem);
    static_assert(kClassCode == kRevision + 1);
    space_.put(kRevision, identity.class_code << 8 | identity.revision);
    space_.let_write(kCommand, kAlwaysWritable);
    space_.let_write(kCacheLineSize, std::uint8_t{0xff});
    space_.let_write(kInterruptLine, std::uint8_t{0xff});
}

void Function::add_bar(unsigned index, BarShape shape, IoDevice& region,
                       std::vector<BarMemory> memory) {
    const bool wide = shape.kind == BarKind::Memory64;
    VMM_ASSERT(index + (wide ? 1 : 0) < kBarCount && bars_[index].region == nullptr);
    VMM_ASSERT(std::has_single_bit(shape.size) &&
               shape.size >= (shape.kind == BarKind::Io ? 4u : 16u));
    VMM_ASSERT(wide || shape.size <= 0x8000'0000);
    bars_[index].shape = shape;
    bars_[index].region = &region;
    for (const BarMemory& piece : memory)
        VMM_ASSERT(shape.kind != BarKind::Io && piece.offset % host_page() == 0 &&
                   piece.memory.size % host_page() == 0 && piece.memory.size <= shape.size &&
                   piece.offset <= shape.size - piece.memory.size);
    bars_[index].memory = std::move(memory);

    const std::uint64_t mask = ~(shape.size - 1);
    std::uint32_t flags = shape.kind == BarKind::Io ? kBarIo : 0;
    if (wide)
        flags |= kBar64;
    if (shape.prefetchable && shape.kind != BarKind::Io)
        flags |= kBarPrefetchable;
    space_.put(bar_offset(index), flags);
    space_.let_write(bar_offset(index), static_cast<std::uint32_t>(mask));
    if (wide)
        space_.let_write(bar_offset(index + 1), static_cast<std::uint32_t>(mask >> 32));

    let_decode(shape.kind);
}

// "Devices that do not have I/O (memory) space hardwire the bit to zero."
void Function::let_decode(BarKind kind) {
    const Command writable{space_.writable<std::uint16_t>(kCommand)};
    space_.let_write(kCommand, (kind == BarKind::Io ? writable.with(Command::io_space, true)
                                                    : writable.with(Command::memory_space, true))
                                   .raw());
}

void Function::add_rom(RomImage& image) {
    VMM_ASSERT(bars_[kRomBar].region == nullptr);
    const std::uint64_t size = image.bar_size();
    bars_[kRomBar] = {.shape = {.kind = BarKind::Memory32, .size = size}, .region = &image};
    space_.let_write(kRomAddress, static_cast<std::uint32_t>(~(size - 1)) | kRomEnable);
    let_decode(BarKind::Memory32);
}

unsigned Function::add_capability(std::uint8_t id, std::span<const std::uint8_t> body,
                                  std::span<const std::uint8_t> writable,
                                  CapabilityRegisters* registers) {
    const auto size = static_cast<unsigned>(body.size()) + kCapabilityHeader;
    const unsigned at = free_;
    VMM_ASSERT(capability_count_ < kMaxCapabilities && at + size <= kConventionalSize);
    free_ = (at + size + 3) & ~3u;
    capabilities_[capability_count_++] = {
        .offset = at, .size = size, .id = id, .registers = registers};

    space_.put(at, id);
    space_.define(at + kCapabilityHeader, body, writable);
    const unsigned pointer = last_capability_ == 0 ? kCapabilityPointer : last_capability_ + 1;
    space_.put(pointer, static_cast<std::uint8_t>(at));
    last_capability_ = at;
    space_.put(kStatus, static_cast<std::uint16_t>(config_word(kStatus) | kStatusCapabilities));
    return at;
}

unsigned Function::add_express() {
    // Offsets without the two bytes of id and next.
    std::array<std::uint8_t, 0x3a> body{};
    std::array<std::uint8_t, 0x3a> writable{};
    const std::span<std::uint8_t> b{body};
    put<std::uint16_t>(b, 0x00, 0x0092);       // Capabilities: version 2, integrated endpoint
    put<std::uint32_t>(b, 0x02, 0x0000'8000);  // Device Capabilities: role-based error reporting
    put<std::uint16_t>(b, 0x06, 0x2810);       // Device Control: 512 byte reads, as after reset
    put<std::uint16_t>(std::span<std::uint8_t>{writable}, 0x06, 0x78ff);
    express_ = true;
    return add_capability(kExpressId, body, writable);
}

// Header: id (15:0), version (19:16), offset of the next one (31:20). An empty list is one header
// of zeros. Spec: PCI Express 6.0, 7.6.3, 7.6.1.
unsigned Function::add_extended_capability(std::uint16_t id, std::uint8_t version,
                                           std::span<const std::uint8_t> body,
                                           std::span<const std::uint8_t> writable) {
    const unsigned at = free_extended_;
    VMM_ASSERT(express_ && version < 16 && at + kExtendedHeader + body.size() <= kConfigSize);
    space_.extend();
    free_extended_ = (at + kExtendedHeader + static_cast<unsigned>(body.size()) + 3) & ~3u;
    space_.put(at, std::uint32_t{id} | std::uint32_t{version} << 16);
    space_.define(at + kExtendedHeader, body, writable);
    if (last_extended_ != 0)
        space_.put(last_extended_, config_dword(last_extended_) | at << 20);
    last_extended_ = at;
    return at;
}

std::uint32_t Function::read_config(unsigned offset, unsigned size) noexcept {
    if (!space_.has(offset))
        // No extended capabilities; on a conventional function, no such space at all.
        return express_ ? 0 : ~std::uint32_t{0};
    unsigned inside = 0;
    if (CapabilityRegisters* const registers = registers_at(offset, size, inside))
        registers->before_read(inside, size);
    std::uint32_t value = space_.read(offset, size);
    if (offset <= kStatus && kStatus < offset + size &&
        intx_status_.load(std::memory_order_relaxed))
        value |= kStatusInterrupt << (8 * (kStatus - offset));
    return value;
}

void Function::write_config(unsigned offset, unsigned size, std::uint32_t value) noexcept {
    if (!space_.has(offset))
        return;
    space_.write(offset, size, value);
    if (offset <= kCommand + 1 && offset + size > kCommand)
        command_changed();
    unsigned inside = 0;
    if (CapabilityRegisters* const registers = registers_at(offset, size, inside))
        registers->written(inside, size);
}

// Accesses are aligned and capabilities start at multiples of four, so none spans two of them.
CapabilityRegisters* Function::registers_at(unsigned offset, unsigned size,
                                            unsigned& inside) const noexcept {
    for (unsigned i = 0; i < capability_count_; ++i) {
        const Capability& capability = capabilities_[i];
        if (offset >= capability.offset && offset + size <= capability.offset + capability.size) {
            inside = offset - capability.offset;
            return capability.registers;
        }
    }
    return nullptr;
}

std::uint64_t Function::bar_address(unsigned index) const noexcept {
    const std::uint32_t low = config_dword(bar_offset(index));
    if (index == kRomBar)
        return low & ~kRomFlags;
    switch (bars_[index].shape.kind) {
        case BarKind::Io:
            return low & ~kIoFlags;
        case BarKind::Memory32:
            return low & ~kMemoryFlags;
        case BarKind::Memory64:
            break;
    }
    return (low & ~kMemoryFlags) | std::uint64_t{config_dword(bar_offset(index + 1))} << 32;
}

void Function::set_bar_address(unsigned index, std::uint64_t at) noexcept {
    const unsigned offset = bar_offset(index);
    std::uint32_t flags = bars_[index].shape.kind == BarKind::Io ? kIoFlags : kMemoryFlags;
    if (index == kRomBar)
        flags = kRomFlags;
    flags &= config_dword(offset);
    set_config_dword(offset, static_cast<std::uint32_t>(at) | flags);
    if (bars_[index].shape.kind == BarKind::Memory64)
        set_config_dword(bar_offset(index + 1), static_cast<std::uint32_t>(at >> 32));
}

void Function::set_initial_address(unsigned bar, std::uint64_t at) noexcept {
    initial_[bar] = at;
    set_bar_address(bar, at);
}

std::optional<std::uint64_t> Function::decoded_at(unsigned bar) const noexcept {
    const Command command{config_word(kCommand)};
    const bool decodes = bars_[bar].shape.kind == BarKind::Io ? command[Command::io_space]
                                                              : command[Command::memory_space];
    const bool enabled = bar != kRomBar || (config_dword(kRomAddress) & kRomEnable) != 0;
    if (bars_[bar].region == nullptr || !decodes || !enabled)
        return std::nullopt;
    return bar_address(bar);
}

void Function::bar_mapped(unsigned bar, std::uint64_t at) noexcept {
    if (placement_ != nullptr)
        placement_->bar_mapped(bar, at);
}

void Function::bar_unmapped(unsigned bar) noexcept {
    if (placement_ != nullptr)
        placement_->bar_unmapped(bar);
}

void Function::after_config_write() noexcept {
    if (placement_ != nullptr)
        placement_->after_config_write();
}

bool Function::bus_master() const noexcept {
    return Command{config_word(kCommand)}[Command::bus_master];
}

void Function::connect_pin(std::uint8_t pin, std::uint8_t line, InterruptPin& to) noexcept {
    const std::array lines{line};
    const std::array<std::uint8_t, 1> writable{0xff};
    space_.define(kInterruptLine, lines, writable);
    space_.put(kInterruptPin, pin);
    const std::scoped_lock held{pin_lock_};
    pin_ = &to;
    drive_pin();
}

void Function::disconnect_pin() noexcept {
    const std::scoped_lock held{pin_lock_};
    pin_ = nullptr;
}

void Function::reset() noexcept {
    space_.reset();
    for (unsigned i = 0; i < kBaseAddresses; ++i)
        if (bars_[i].region != nullptr)
            set_bar_address(i, initial_[i]);
    command_changed();
    for (unsigned i = 0; i < capability_count_; ++i)
        if (capabilities_[i].registers != nullptr)
            capabilities_[i].registers->cleared();
}

void Function::set_intx(bool high) noexcept {
    const std::scoped_lock held{pin_lock_};
    intx_high_ = high;
    intx_status_.store(high, std::memory_order_relaxed);
    drive_pin();
}

void Function::command_changed() noexcept {
    const std::scoped_lock held{pin_lock_};
    intx_disabled_ = Command{config_word(kCommand)}[Command::interrupt_disable];
    drive_pin();
}

void Function::drive_pin() noexcept {
    if (pin_ != nullptr)
        pin_->set(intx_high_ && !intx_disabled_);
}

}  // namespace vmm::pci
