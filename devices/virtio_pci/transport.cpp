// SPDX-License-Identifier: Apache-2.0
#include "virtio_pci/transport.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

namespace vmm::virtio_pci {
namespace {

using virtio::DeviceType;
using virtio::Registers;

// Identity. Spec: 4.1.2.
constexpr std::uint16_t kVendor = 0x1af4;
constexpr std::uint16_t kFirstDevice = 0x1040;  // plus the device type
constexpr std::uint8_t kModern = 1;             // revision
constexpr std::uint16_t kSubsystem = 0x1100;

// Common configuration. Spec: 4.1.4.3.
//     offset, width, access, meaning
constexpr std::uint64_t kDeviceFeatureSelect = 0x00;  // 32 rw
constexpr std::uint64_t kDeviceFeature = 0x04;        // 32 r-
constexpr std::uint64_t kDriverFeatureSelect = 0x08;  // 32 rw
constexpr std::uint64_t kDriverFeature = 0x0c;        // 32 rw
constexpr std::uint64_t kConfigVector = 0x10;         // 16 rw
constexpr std::uint64_t kNumQueues = 0x12;            // 16 r-
constexpr std::uint64_t kDeviceStatus = 0x14;         //  8 rw
constexpr std::uint64_t kConfigGeneration = 0x15;     //  8 r-
constexpr std::uint64_t kQueueSelect = 0x16;          // 16 rw
constexpr std::uint64_t kQueueSize = 0x18;            // 16 rw  from here on of the selected queue
constexpr std::uint64_t kQueueVector = 0x1a;          // 16 rw
constexpr std::uint64_t kQueueEnable = 0x1c;          // 16 rw
constexpr std::uint64_t kQueueNotifyOff = 0x1e;       // 16 r-
constexpr std::uint64_t kQueueAddresses = 0x20;       // 64 rw  descriptors, driver, device: halves
constexpr std::uint64_t kQueueAddressesEnd = 0x38;
constexpr std::uint64_t kQueueNotifyData = 0x38;  // 16 r-  0: not offered
constexpr std::uint64_t kQueueReset = 0x3a;       // 16 rw

constexpr auto kByte = AccessSize::Byte;
constexpr auto kWord = AccessSize::Word;
constexpr auto kDword = AccessSize::Dword;
constexpr auto kQword = AccessSize::Qword;
constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};

// What a driver may write to, by exact offset and width: 4.1.3.1, "natural width".
std::optional<AccessSize> width_of(std::uint64_t offset) {
    switch (offset) {
        case kDeviceStatus:
        case kConfigGeneration:
            return kByte;
        case kConfigVector:
        case kNumQueues:
        case kQueueSelect:
        case kQueueSize:
        case kQueueVector:
        case kQueueEnable:
        case kQueueNotifyOff:
        case kQueueNotifyData:
        case kQueueReset:
            return kWord;
        case kDeviceFeatureSelect:
        case kDeviceFeature:
        case kDriverFeatureSelect:
        case kDriverFeature:
            return kDword;
        default:
            break;
    }
    if (offset >= kQueueAddresses && offset < kQueueAddressesEnd && offset % 4 == 0)
        return kDword;
    return std::nullopt;
}

Registers::Area area_of(std::uint64_t offset) {
    constexpr auto kAreas =
        std::array{Registers::Area::Descriptors, Registers::Area::Driver, Registers::Area::Device};
    return kAreas[(offset - kQueueAddresses) / 8];
}

Registers::Half half_of(std::uint64_t offset) {
    return offset % 8 == 0 ? Registers::Half::Low : Registers::Half::High;
}

std::uint32_t class_of(DeviceType type) {
    switch (type) {
        case DeviceType::Net:
            return 0x020000;
        case DeviceType::Block:
        case DeviceType::Fs:
            return 0x018000;
        case DeviceType::Console:
            return 0x078000;
        case DeviceType::Vsock:
            return 0x028000;
        case DeviceType::Rng:
        case DeviceType::Balloon:
            break;
    }
    return 0x00ff00;
}

pci::Identity identity_of(DeviceType type) {
    return {.vendor = kVendor,
            .device = static_cast<std::uint16_t>(kFirstDevice + std::to_underlying(type)),
            .subsystem_vendor = kVendor,
            .subsystem = kSubsystem,
            .class_code = class_of(type),
            .revision = kModern};
}

constexpr bool within(std::uint64_t offset, std::uint64_t start, std::uint64_t size) {
    return offset >= start && offset - start < size;
}

// The part of an access that is a structure's own.
constexpr Access relative(Access access, std::uint64_t start) {
    return {.offset = access.offset - start, .size = access.size};
}

}  // namespace

class Transport::Region final : public IoDevice {
public:
    explicit Region(Transport& transport) : transport_{transport} {}

    std::uint64_t read(Access access) noexcept override { return transport_.read_bar(access); }
    void write(Access access, std::uint64_t value) noexcept override {
        transport_.write_bar(access, value);
    }
    void after_write() noexcept override { transport_.after_write(); }
    Mutex& lock() noexcept override { return transport_.function_.lock(); }

private:
    Transport& transport_;
};

class Transport::Ports final : public IoDevice {
public:
    explicit Ports(Transport& transport) : transport_{transport} {}

    std::uint64_t read(Access) noexcept override { return kAllOnes; }
    void write(Access access, std::uint64_t) noexcept override {
        transport_.registers_->settle();
        transport_.notify(access.offset);
    }
    Mutex& lock() noexcept override { return transport_.function_.lock(); }

private:
    Transport& transport_;
};

// Set-up.

Result<std::unique_ptr<Transport>> Transport::create(virtio::Device& device, const Parts& parts,
                                                     Options options) {
    std::unique_ptr<Transport> transport{new Transport{device, parts}};
    VMM_TRY(transport->build(device, options));
    return transport;
}

Transport::Transport(virtio::Device& device, const Parts& parts)
    : parts_{parts},
      function_{identity_of(device.type())},
      region_{std::make_unique<Region>(*this)},
      queue_vectors_(device.queue_sizes().size()),
      doorbells_(device.queue_sizes().size()),
      running_(device.queue_sizes().size()) {}

Result<> Transport::build(virtio::Device& device, Options options) {
    const auto vectors = static_cast<unsigned>(queue_vectors_.size()) + 1;
    const std::uint64_t table = vectors * pci::Msix::kEntrySize;
    pending_at_ = layout::kMsix + std::max<std::uint64_t>(std::bit_ceil(table), 0x800);
    bar_size_ = std::bit_ceil(pending_at_ + std::uint64_t{(vectors + 63) / 64} * 8);
    function_.add_bar(kBar, {.kind = pci::BarKind::Memory32, .size = bar_size_}, *region_);
    if (options.ports) {
        ports_ = std::make_unique<Ports>(*this);
        const std::uint64_t size = std::bit_ceil(notify_length());
        function_.add_bar(kPortBar, {.kind = pci::BarKind::Io, .size = size}, *ports_);
    }
    function_.set_placement(*this);
    function_.use_intx();
    msix_ = VMM_TRY(pci::Msix::create(function_, parts_.msi, vectors,
                                      {.bar = kBar,
                                       .table = static_cast<std::uint32_t>(layout::kMsix),
                                       .pending = static_cast<std::uint32_t>(pending_at_)}));
    add_capabilities(device, options);
    registers_ = VMM_TRY(Registers::create(device, parts_.memory, *this, options.common));
    return {};
}

std::uint64_t Transport::notify_length() const noexcept {
    return std::max<std::uint64_t>(queue_vectors_.size(), 1) * layout::kNotifyMultiplier;
}

Transport::~Transport() {
    if (registers_ == nullptr)
        return;
    registers_->reset_and_wait();
    finish_reset();  // the eventfds are still there
}

// The BAR.

std::uint64_t Transport::read_bar(Access access) noexcept {
    registers_->settle();
    const std::uint64_t at = access.offset;
    if (within(at, layout::kCommon, layout::kCommonSize))
        return read_common(relative(access, layout::kCommon));
    if (at == layout::kIsr)  // whatever the width: all peers answer, and a level must go down
        return take_isr();
    if (within(at, layout::kDevice, layout::kDeviceSize))
        return read_device_config(relative(access, layout::kDevice));
    if (at >= pending_at_)
        return msix_->read_pending(relative(access, pending_at_));
    if (at >= layout::kMsix)
        return msix_->read_table(relative(access, layout::kMsix));
    return kAllOnes;
}

void Transport::write_bar(Access access, std::uint64_t value) noexcept {
    registers_->settle();
    const std::uint64_t at = access.offset;
    if (within(at, layout::kNotify, layout::kNotifySize))
        notify(at - layout::kNotify);
    else if (within(at, layout::kCommon, layout::kCommonSize))
        write_common(relative(access, layout::kCommon), value);
    else if (within(at, layout::kDevice, layout::kDeviceSize))
        write_device_config(relative(access, layout::kDevice), value);
    else if (at >= layout::kMsix && at < pending_at_)
        msix_->write_table(relative(access, layout::kMsix), value);
}

// "64-bit fields" are two registers of 32 bits to a driver that keeps to 4.1.3.1. Others move them
// with one instruction, which every bus makes two of: the lower half first.
std::uint64_t Transport::read_common(Access access) noexcept {
    if (access.size == kQword && access.offset % 8 == 0) {
        const auto low = static_cast<std::uint32_t>(read_common({access.offset, kDword}));
        return low | read_common({access.offset + 4, kDword}) << 32;
    }
    if (width_of(access.offset) != access.size)
        return kAllOnes;
    switch (access.offset) {
        case kDeviceFeatureSelect:
            return registers_->device_feature_select();
        case kDeviceFeature:
            return registers_->device_feature();
        case kDriverFeatureSelect:
            return registers_->driver_feature_select();
        case kDriverFeature:
            return registers_->driver_feature();
        case kConfigVector:
            return config_vector_.number;
        case kNumQueues:
            return registers_->num_queues();
        case kDeviceStatus:
            return registers_->device_status();
        case kConfigGeneration:
            return registers_->config_generation();
        case kQueueSelect:
            return registers_->queue_select();
        default:
            return read_queue_register(access);
    }
}

std::uint64_t Transport::read_queue_register(Access access) noexcept {
    switch (access.offset) {
        case kQueueSize:
            return registers_->queue_size();
        case kQueueVector: {
            const Vector* const vector = selected_vector();
            return vector == nullptr ? kNoVector : vector->number;
        }
        case kQueueEnable:
            return registers_->queue_enable() ? 1 : 0;
        case kQueueNotifyOff:
            return registers_->queue_selected() ? registers_->queue_select() : 0;
        case kQueueNotifyData:
            return 0;
        case kQueueReset:
            return registers_->queue_reset() ? 1 : 0;
        default:
            return registers_->queue_address(area_of(access.offset), half_of(access.offset));
    }
}

void Transport::write_common(Access access, std::uint64_t value) noexcept {
    if (access.size == kQword && access.offset % 8 == 0) {
        write_common({access.offset, kDword}, static_cast<std::uint32_t>(value));
        write_common({access.offset + 4, kDword}, value >> 32);
        return;
    }
    if (width_of(access.offset) != access.size)
        return;
    switch (access.offset) {
        case kDeviceFeatureSelect:
            return registers_->set_device_feature_select(static_cast<std::uint32_t>(value));
        case kDriverFeatureSelect:
            return registers_->set_driver_feature_select(static_cast<std::uint32_t>(value));
        case kDriverFeature:
            return registers_->set_driver_feature(static_cast<std::uint32_t>(value));
        case kConfigVector:
            return set_vector(config_vector_, static_cast<std::uint16_t>(value));
        case kDeviceStatus:
            registers_->set_device_status(static_cast<std::uint8_t>(value));
            doorbells_stale_.store(true, std::memory_order_release);
            return;
        case kQueueSelect:
            return registers_->set_queue_select(static_cast<std::uint16_t>(value));
        case kDeviceFeature:
        case kNumQueues:
        case kConfigGeneration:
            return;
        default:
            return write_queue_register(access, value);
    }
}

void Transport::write_queue_register(Access access, std::uint64_t value) noexcept {
    switch (access.offset) {
        case kQueueSize:
            return registers_->set_queue_size(static_cast<std::uint16_t>(value));
        case kQueueVector:
            if (Vector* const vector = selected_vector())
                set_vector(*vector, static_cast<std::uint16_t>(value));
            return tell_calls();
        case kQueueEnable:
            registers_->set_queue_enable(static_cast<std::uint16_t>(value));
            doorbells_stale_.store(true, std::memory_order_release);
            return;
        case kQueueReset:
            return registers_->set_queue_reset(static_cast<std::uint16_t>(value));
        case kQueueNotifyOff:
        case kQueueNotifyData:
            return;
        default:
            registers_->set_queue_address(area_of(access.offset), half_of(access.offset),
                                          static_cast<std::uint32_t>(value));
    }
}

std::uint64_t Transport::read_device_config(Access access) noexcept {
    std::array<std::byte, 8> bytes{};
    registers_->read_config(access.offset,
                            std::span{bytes}.first(static_cast<std::size_t>(access.size)));
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), static_cast<std::size_t>(access.size));
    return value;
}

void Transport::write_device_config(Access access, std::uint64_t value) noexcept {
    std::array<std::byte, 8> bytes{};
    std::memcpy(bytes.data(), &value, sizeof value);
    registers_->write_config(access.offset,
                             std::span{bytes}.first(static_cast<std::size_t>(access.size)));
}

// "The driver writes the 16-bit virtqueue index": the place says it already, as it must for a
// doorbell that looks at nothing else. Any width will do, as it does there.
void Transport::notify(std::uint64_t offset) noexcept {
    const auto queue = offset / layout::kNotifyMultiplier;
    if (offset % layout::kNotifyMultiplier == 0 && queue < queue_vectors_.size() &&
        registers_->running(static_cast<std::uint16_t>(queue)))
        registers_->queue(queue)->kick();
}

// What a write decided but may not do under the lock: ioeventfds come and go with DRIVER_OK.
void Transport::after_write() noexcept {
    if (doorbells_stale_.load(std::memory_order_acquire))
        place_doorbells();
}

void Transport::after_config_write() noexcept {
    follow_bus_master();
    follow_msix();
    after_write();
}

}  // namespace vmm::virtio_pci
