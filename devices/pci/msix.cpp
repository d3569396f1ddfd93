// SPDX-License-Identifier: Apache-2.0
#include "pci/msix.hpp"

#include <array>
#include <span>

#include "vmm/assert.hpp"
#include "vmm/text.hpp"

namespace vmm::pci {
namespace {

constexpr std::uint8_t kMsixId = 0x11;

// Capability. Spec: PCI 3.0, 6.8.2.
constexpr unsigned kControl = 2;  // 16  table size - 1, function mask (14), enable (15)
constexpr std::uint16_t kFunctionMask = 1u << 14;
constexpr std::uint16_t kEnable = 1u << 15;

// Table entry. Spec: 6.8.2.6 to 6.8.2.9.
constexpr std::uint64_t kAddressLow = 0x0;
constexpr std::uint64_t kAddressHigh = 0x4;
constexpr std::uint64_t kData = 0x8;
constexpr std::uint64_t kVectorControl = 0xc;
constexpr std::uint32_t kMasked = 1;
constexpr std::uint64_t kAddressUnused = 3;  // the two lowest bits are always zero

constexpr std::uint16_t kMsixStateVersion = 1;

constexpr bool legal(Access access) {
    return (access.size == AccessSize::Dword && access.offset % 4 == 0) ||
           (access.size == AccessSize::Qword && access.offset % 8 == 0);
}

void put(std::span<std::uint8_t> bytes, std::size_t offset, std::uint32_t value) {
    for (unsigned i = 0; i < 4 && offset + i < bytes.size(); ++i)
        bytes[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

}  // namespace

Result<std::unique_ptr<Msix>> Msix::create(Function& function, MsiSink& sink, unsigned vectors,
                                           MsixPlace place) {
    VMM_ASSERT(vectors >= 1 && vectors <= kMaxVectors && place.bar < kBarCount &&
               place.table % 8 == 0 && place.pending % 8 == 0);
    std::vector<Entry> entries(vectors);
    for (Entry& entry : entries)
        entry.slot =
            VectorSlot{VMM_TRY_OR(sink.allocate(), cat("allocate ", vectors, " MSI-X vectors"))};
    return std::unique_ptr<Msix>{new Msix{function, std::move(entries), place}};
}

Msix::Msix(Function& function, std::vector<Entry> vectors, MsixPlace place)
    : function_{function}, vectors_{std::move(vectors)} {
    std::array<std::uint8_t, 10> body{};
    put(body, 0, size() - 1);
    put(body, 2, place.table | place.bar);
    put(body, 6, place.pending | place.bar);
    constexpr std::array<std::uint8_t, 2> kWritable{0, (kEnable | kFunctionMask) >> 8};
    capability_ = function_.add_capability(kMsixId, body, kWritable, this);
}

MsiVector* Msix::vector(std::uint64_t number) const noexcept {
    return number < vectors_.size() ? vectors_[number].slot.vector() : nullptr;
}

bool Msix::take_pending(std::uint64_t number) noexcept {
    return number < vectors_.size() && vectors_[number].slot.take_pending();
}

void Msix::written(unsigned /*offset*/, unsigned /*size*/) noexcept {
    read_control();
    for (Entry& entry : vectors_)
        update(entry);
}

void Msix::read_control() noexcept {
    const std::uint16_t control = function_.config_word(capability_ + kControl);
    function_masked_ = (control & kFunctionMask) != 0;
    // Before the vectors are looked at, in the eyes of all threads: a device that signals looks at
    // this afterwards.
    enabled_.store((control & kEnable) != 0, std::memory_order_seq_cst);
}

std::uint64_t Msix::read_table(Access access) const noexcept {
    if (!legal(access) || access.offset >= table_bytes())
        return ~std::uint64_t{0};
    const std::uint64_t low = read_dword(access.offset);
    if (access.size == AccessSize::Dword)
        return low;
    return low | std::uint64_t{read_dword(access.offset + 4)} << 32;
}

std::uint32_t Msix::read_dword(std::uint64_t offset) const noexcept {
    const Entry& entry = vectors_[offset / kEntrySize];
    switch (offset % kEntrySize) {
        case kAddressLow:
            return static_cast<std::uint32_t>(entry.message.address);
        case kAddressHigh:
            return static_cast<std::uint32_t>(entry.message.address >> 32);
        case kData:
            return entry.message.data;
        default:
            return entry.control;
    }
}

void Msix::write_table(Access access, std::uint64_t value) noexcept {
    if (!legal(access) || access.offset >= table_bytes())
        return;
    write_dword(access.offset, static_cast<std::uint32_t>(value));
    if (access.size == AccessSize::Qword)
        write_dword(access.offset + 4, static_cast<std::uint32_t>(value >> 32));
}

void Msix::write_dword(std::uint64_t offset, std::uint32_t value) noexcept {
    Entry& entry = vectors_[offset / kEntrySize];
    switch (offset % kEntrySize) {
        case kAddressLow:
            entry.message.address = (entry.message.address >> 32 << 32) | (value & ~kAddressUnused);
            break;
        case kAddressHigh:
            entry.message.address = (entry.message.address & 0xffff'ffff) | std::uint64_t{value}
                                                                                << 32;
            break;
        case kData:
            entry.message.data = value;
            break;
        case kVectorControl:
            entry.control = value & kMasked;
            break;
        default:
            break;
    }
    update(entry);
}

void Msix::update(Entry& entry) noexcept {
    if (enabled() && !function_masked_ && (entry.control & kMasked) == 0)
        entry.slot.deliver({.address = entry.message.address,
                            .data = entry.message.data,
                            .requester = function_.requester_id()});
    else
        entry.slot.hold();
}

std::uint64_t Msix::read_pending(Access access) const noexcept {
    if (!legal(access) || access.offset >= pending_bytes())
        return ~std::uint64_t{0};
    const std::uint64_t first = access.offset * 8;
    const unsigned bits = access.size == AccessSize::Qword ? 64 : 32;
    std::uint64_t value = 0;
    for (unsigned i = 0; i < bits && first + i < vectors_.size(); ++i) {
        if (vectors_[first + i].slot.pending())
            value |= std::uint64_t{1} << i;
    }
    return value;
}

void Msix::cleared() noexcept {
    enabled_.store(false, std::memory_order_release);
    function_masked_ = false;
    for (Entry& entry : vectors_) {
        entry.message = {};
        entry.control = kMasked;
        update(entry);
        entry.slot.take_pending();
    }
}

// State: the table and what is pending. Message Control is in the function's configuration bytes.

void Msix::save_registers(StateWriter& to) {
    const StateWriter::Section section{to, kMsixStateVersion};
    to.put(static_cast<std::uint16_t>(size()));
    for (const Entry& entry : vectors_) {
        to.put(entry.message.address);
        to.put(entry.message.data);
        to.put((entry.control & kMasked) != 0);
        to.put(entry.slot.pending());
    }
}

Result<ApplyState> Msix::read_registers(StateReader& from) {
    StateReader state = VMM_TRY(from.section("MSI-X vectors", kMsixStateVersion));
    state.require(state.get<std::uint16_t>("number of vectors") == size(), "number of vectors",
                  "is not that of this function");
    std::vector<SavedEntry> entries(state.failed() ? 0 : size());
    for (SavedEntry& entry : entries) {
        entry.message.address = state.get<std::uint64_t>("message address");
        state.require((entry.message.address & kAddressUnused) == 0, "message address",
                      "is not a multiple of 4");
        entry.message.data = state.get<std::uint32_t>("message data");
        entry.masked = state.get_flag("vector masked");
        entry.pending = state.get_flag("vector pending");
    }
    VMM_TRY(state.done());
    return [this, entries = std::move(entries)]() noexcept { apply(entries); };
}

// A vector that is masked keeps what is pending; one that is not delivers it at once.
void Msix::apply(std::span<const SavedEntry> saved) noexcept {
    read_control();
    for (std::size_t i = 0; i < vectors_.size(); ++i) {
        Entry& entry = vectors_[i];
        entry.message = saved[i].message;
        entry.control = saved[i].masked ? kMasked : 0;
        entry.slot.hold();
        entry.slot.take_pending();
        if (saved[i].pending)
            entry.slot.vector()->signal();
        update(entry);
    }
}

}  // namespace vmm::pci
