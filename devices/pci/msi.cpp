// SPDX-License-Identifier: Apache-2.0
#include "pci/msi.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "vmm/assert.hpp"
#include "vmm/text.hpp"

namespace vmm::pci {
namespace {

constexpr std::uint8_t kMsiId = 0x05;

// Capability. Spec: 6.8.1, figure with 64-bit address and per-vector masking.
constexpr unsigned kControl = 0x02;      // 16  enable (0), vectors (3:1), granted (6:4)
constexpr unsigned kAddressLow = 0x04;   // 32 rw
constexpr unsigned kAddressHigh = 0x08;  // 32 rw
constexpr unsigned kData = 0x0c;         // 16 rw
constexpr unsigned kMask = 0x10;         // 32 rw
constexpr unsigned kPending = 0x14;      // 32 r-
constexpr unsigned kSize = 0x18;

constexpr std::uint16_t kEnable = 1;
constexpr unsigned kGrantedShift = 4;
constexpr std::uint16_t kGrantedMask = 7u << kGrantedShift;
constexpr std::uint16_t k64Bit = 1u << 7;
constexpr std::uint16_t kPerVectorMask = 1u << 8;

constexpr std::uint16_t kMsiStateVersion = 1;

constexpr std::uint32_t all_of(unsigned vectors) {
    return vectors == 32 ? ~0u : (1u << vectors) - 1;
}

}  // namespace

Result<std::unique_ptr<Msi>> Msi::create(Function& function, MsiSink& sink, unsigned vectors) {
    VMM_ASSERT(std::has_single_bit(vectors) && vectors <= kMaxVectors);
    std::vector<VectorSlot> slots;
    for (unsigned i = 0; i < vectors; ++i) {
        auto vector = VMM_TRY_OR(sink.allocate(), cat("allocate ", vectors, " MSI vectors"));
        slots.emplace_back(std::move(vector));
    }
    return std::unique_ptr<Msi>{new Msi{function, std::move(slots)}};
}

Msi::Msi(Function& function, std::vector<VectorSlot> vectors)
    : function_{function}, vectors_{std::move(vectors)} {
    std::array<std::uint8_t, kSize - 2> body{};
    std::array<std::uint8_t, kSize - 2> writable{};
    const auto count = static_cast<unsigned>(vectors_.size());
    const auto capable = static_cast<unsigned>(std::countr_zero(count));
    const unsigned control = k64Bit | kPerVectorMask | capable << 1;
    body[kControl - 2] = static_cast<std::uint8_t>(control);
    body[kControl - 1] = static_cast<std::uint8_t>(control >> 8);
    writable[kControl - 2] = kEnable | kGrantedMask;
    std::fill_n(writable.begin() + kAddressLow - 2, 8, std::uint8_t{0xff});
    writable[kAddressLow - 2] = 0xfc;
    std::fill_n(writable.begin() + kData - 2, 2, std::uint8_t{0xff});
    for (unsigned i = 0; i < 4; ++i)
        writable[kMask - 2 + i] = static_cast<std::uint8_t>(all_of(count) >> (8 * i));
    capability_ = function_.add_capability(kMsiId, body, writable, this);
}

MsiVector* Msi::vector(std::uint64_t number) const noexcept {
    return vectors_[number % granted_.load(std::memory_order_acquire)].vector();
}

bool Msi::take_pending(std::uint64_t number) noexcept {
    return vectors_[number % granted_.load(std::memory_order_acquire)].take_pending();
}

void Msi::before_read(unsigned offset, unsigned size) noexcept {
    if (offset + size > kPending)
        function_.set_config_dword(capability_ + kPending, pending());
}

std::uint32_t Msi::pending() const noexcept {
    std::uint32_t pending = 0;
    for (unsigned i = 0; i < vectors_.size(); ++i)
        pending |= vectors_[i].pending() ? 1u << i : 0;
    return pending;
}

void Msi::written(unsigned /*offset*/, unsigned /*size*/) noexcept {
    update();
}

void Msi::update() noexcept {
    const std::uint16_t control = function_.config_word(capability_ + kControl);
    // More than there are, or a value that is reserved, is cut down to what there is.
    const unsigned asked = 1u << std::min((control & kGrantedMask) >> kGrantedShift, 5);
    const unsigned granted = std::min(asked, static_cast<unsigned>(vectors_.size()));
    const bool enable = (control & kEnable) != 0;
    const std::uint32_t mask = function_.config_dword(capability_ + kMask);
    const MsiMessage base{
        .address = function_.config_dword(capability_ + kAddressLow) |
                   std::uint64_t{function_.config_dword(capability_ + kAddressHigh)} << 32,
        .data = function_.config_word(capability_ + kData)};
    granted_.store(granted, std::memory_order_release);
    enabled_.store(enable, std::memory_order_release);
    for (unsigned i = 0; i < vectors_.size(); ++i) {
        if (enable && i < granted && (mask >> i & 1) == 0)
            // "The function is permitted to modify the low order bits of the message data."
            vectors_[i].deliver({.address = base.address,
                                 .data = (base.data & ~(granted - 1)) | i,
                                 .requester = function_.requester_id()});
        else
            vectors_[i].hold();
    }
    // What was held back on a vector that is no longer granted comes through the one that its
    // source has now.
    for (unsigned i = granted; enable && i < vectors_.size(); ++i)
        if (vectors_[i].take_pending())
            vectors_[i % granted].vector()->signal();
}

void Msi::cleared() noexcept {
    update();
    for (VectorSlot& slot : vectors_)
        slot.take_pending();
}

// State: what is pending. All else is in the function's configuration bytes.

void Msi::save_registers(StateWriter& to) {
    const StateWriter::Section section{to, kMsiStateVersion};
    to.put(static_cast<std::uint8_t>(vectors_.size()));
    to.put(pending());
}

Result<ApplyState> Msi::read_registers(StateReader& from) {
    StateReader state = VMM_TRY(from.section("MSI vectors", kMsiStateVersion));
    const auto count = static_cast<unsigned>(vectors_.size());
    state.require(state.get<std::uint8_t>("number of vectors") == count, "number of vectors",
                  "is not that of this function");
    const auto pending = state.get<std::uint32_t>("pending vectors", all_of(count));
    VMM_TRY(state.done());
    return [this, pending]() noexcept { apply(pending); };
}

void Msi::apply(std::uint32_t pending) noexcept {
    for (unsigned i = 0; i < vectors_.size(); ++i) {
        VectorSlot& slot = vectors_[i];
        slot.hold();
        slot.take_pending();
        if ((pending >> i & 1) != 0)
            slot.vector()->signal();
    }
    update();
}

}  // namespace vmm::pci
