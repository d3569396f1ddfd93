// SPDX-License-Identifier: Apache-2.0
// The capabilities that say where the structures are, and the window to them in configuration
// space.
#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "virtio_pci/transport.hpp"
#include "vmm/host_page.hpp"

namespace vmm::virtio_pci {
namespace {

// Capabilities. Spec: 4.1.4.
constexpr std::uint8_t kVendorCapability = 0x09;
constexpr std::uint8_t kTypeCommon = 1;
constexpr std::uint8_t kTypeNotify = 2;
constexpr std::uint8_t kTypeIsr = 3;
constexpr std::uint8_t kTypeDevice = 4;
constexpr std::uint8_t kTypePciConfig = 5;
constexpr std::uint8_t kTypeSharedMemory = 8;
// The window's fields. Spec: 4.1.4.9.
constexpr unsigned kWindowBar = 4;
constexpr unsigned kId = 5;
constexpr unsigned kWindowOffset = 8;
constexpr unsigned kWindowLength = 12;
constexpr unsigned kWindowData = 16;
// The upper halves in struct virtio_pci_cap64. Spec: 4.1.4, 4.1.4.7.
constexpr unsigned kOffsetHigh = 16;
constexpr unsigned kLengthHigh = 20;
constexpr std::size_t kCapabilitySize = 16;
constexpr std::size_t kLargestCapability = 24;

constexpr std::uint64_t kNothing = ~std::uint64_t{0};

}  // namespace

// "The driver SHOULD use the first instance of each structure type": the faster one goes first.
void Transport::add_capabilities(virtio::Device& device, Options options) {
    add_structure({.type = kTypeCommon, .offset = layout::kCommon, .length = layout::kCommonSize});
    if (ports_)
        add_structure({.type = kTypeNotify,
                       .length = notify_length(),
                       .extra = layout::kNotifyMultiplier,
                       .bar = kPortBar});
    add_structure({.type = kTypeNotify,
                   .offset = layout::kNotify,
                   .length = notify_length(),
                   .extra = layout::kNotifyMultiplier});
    add_structure({.type = kTypeIsr, .offset = layout::kIsr, .length = layout::kIsrSize});
    if (device.config_size() > 0)
        add_structure(
            {.type = kTypeDevice, .offset = layout::kDevice, .length = device.config_size()});
    window_ = add_structure({.type = kTypePciConfig, .extra = 0});
    add_shared_memory(device.shared_memory());
    if (options.express)
        function_.add_express();
}

// A region begins at a multiple of 2 MiB if it is as large as that, so that guest and host can map
// it by huge pages. Only prefetchable memory can be larger than a bridge's 32-bit window.
void Transport::add_shared_memory(std::span<const virtio::SharedMemory> regions) {
    constexpr std::uint64_t kHuge = 2 << 20;
    if (regions.empty())
        return;
    std::vector<pci::BarMemory> pieces;
    std::uint64_t end = 0;
    for (const auto& [id, memory] : regions) {
        const std::uint64_t alignment = memory.size >= kHuge ? kHuge : host_page();
        const std::uint64_t offset = (end + alignment - 1) / alignment * alignment;
        pieces.push_back({.offset = offset, .memory = memory});
        add_structure({.type = kTypeSharedMemory,
                       .offset = offset,
                       .length = memory.size,
                       .bar = kSharedBar,
                       .id = id,
                       .wide = true});
        end = offset + memory.size;
    }
    shared_size_ = std::bit_ceil(end);
    shared_bar_ = std::make_unique<pci::MemoryBar>(pieces);
    function_.add_bar(kSharedBar,
                      {.kind = pci::BarKind::Memory64, .prefetchable = true, .size = shared_size_},
                      *shared_bar_, std::move(pieces));
}

// struct virtio_pci_cap, with four more bytes where `extra` says so, or virtio_pci_cap64.
unsigned Transport::add_structure(const Structure& structure) {
    std::array<std::uint8_t, kLargestCapability - 2> body{};
    const auto put = [&](unsigned at, std::uint64_t value) {
        for (unsigned i = 0; i < 4; ++i)
            body[at - 2 + i] = static_cast<std::uint8_t>(value >> (8 * i));
    };
    std::size_t size = kCapabilitySize - 2;
    if (structure.extra)
        size += 4;
    if (structure.wide)
        size += 8;
    body[0] = static_cast<std::uint8_t>(size + 2);  // cap_len
    body[1] = structure.type;
    body[kWindowBar - 2] = static_cast<std::uint8_t>(structure.bar);
    body[kId - 2] = structure.id;
    put(kWindowOffset, structure.offset);
    put(kWindowLength, structure.length);
    if (structure.extra)
        put(kWindowData, *structure.extra);
    if (structure.wide) {
        put(kOffsetHigh, structure.offset >> 32);
        put(kLengthHigh, structure.length >> 32);
    }

    std::array<std::uint8_t, kLargestCapability - 2> writable{};
    const bool window = structure.type == kTypePciConfig;
    if (window) {
        writable[kWindowBar - 2] = 0xff;
        std::fill_n(writable.begin() + kWindowOffset - 2, 12, std::uint8_t{0xff});
    }
    return function_.add_capability(kVendorCapability, std::span{body}.first(size),
                                    std::span{writable}.first(window ? size : 0),
                                    window ? this : nullptr);
}

// The window in configuration space. Spec: 4.1.4.9.

std::optional<Transport::Target> Transport::window_target(unsigned offset,
                                                          unsigned size) const noexcept {
    if (offset + size <= kWindowData)
        return std::nullopt;
    const std::uint64_t at = function_.config_dword(window_ + kWindowOffset);
    const std::uint32_t length = function_.config_dword(window_ + kWindowLength);
    const unsigned bar = function_.config_byte(window_ + kWindowBar);
    // "The driver MUST NOT" use other lengths, unaligned offsets or another BAR.
    std::uint64_t end = bar == kBar ? bar_size_ : 0;
    if (bar == kPortBar && ports_)
        end = std::bit_ceil(notify_length());
    if (bar == kSharedBar)
        end = shared_size_;
    const bool known = length == 1 || length == 2 || length == 4;
    if (!known || at % length != 0 || at >= end || end - at < length)
        return std::nullopt;
    return Target{.bar = bar, .access = {.offset = at, .size = static_cast<AccessSize>(length)}};
}

void Transport::before_read(unsigned offset, unsigned size) noexcept {
    const auto target = window_target(offset, size);
    if (!target)
        return;
    std::uint64_t value = kNothing;
    if (target->bar == kBar)
        value = read_bar(target->access);
    else if (target->bar == kSharedBar)
        value = shared_bar_->read(target->access);
    function_.set_config_dword(window_ + kWindowData, static_cast<std::uint32_t>(value));
}

void Transport::written(unsigned offset, unsigned size) noexcept {
    const auto target = window_target(offset, size);
    if (!target)
        return;
    if (target->bar == kBar)
        write_bar(target->access, function_.config_dword(window_ + kWindowData));
    else if (target->bar == kSharedBar)
        shared_bar_->write(target->access, function_.config_dword(window_ + kWindowData));
    else
        notify(target->access.offset);
}

}  // namespace vmm::virtio_pci
