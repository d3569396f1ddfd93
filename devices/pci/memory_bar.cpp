// SPDX-License-Identifier: Apache-2.0
#include "pci/memory_bar.hpp"

#include <atomic>
#include <bit>

namespace vmm::pci {
namespace {

template <class T>
T load(std::byte* at) {
    return std::atomic_ref<T>{*reinterpret_cast<T*>(at)}.load(std::memory_order_relaxed);
}

template <class T>
void store(std::byte* at, std::uint64_t value) {
    std::atomic_ref<T>{*reinterpret_cast<T*>(at)}.store(static_cast<T>(value),
                                                        std::memory_order_relaxed);
}

bool is_aligned(const std::byte* at, AccessSize size) {
    return std::bit_cast<std::uintptr_t>(at) % static_cast<unsigned>(size) == 0;
}

}  // namespace

/// Null: it is not inside one piece.
std::byte* MemoryBar::find(Access access) const noexcept {
    const auto bytes = static_cast<std::uint64_t>(access.size);
    for (const auto& [offset, memory] : pieces_)
        if (access.offset >= offset && bytes <= memory.size &&
            access.offset - offset <= memory.size - bytes)
            return memory.host + (access.offset - offset);
    return nullptr;
}

std::uint64_t MemoryBar::read(Access access) noexcept {
    std::byte* const at = find(access);
    if (at == nullptr)
        return kAllOnes;
    if (!is_aligned(at, access.size)) {
        std::uint64_t value = 0;
        for (unsigned i = 0; i < static_cast<unsigned>(access.size); ++i)
            value |= std::uint64_t{load<std::uint8_t>(at + i)} << (8 * i);
        return value;
    }
    switch (access.size) {
        case AccessSize::Byte:
            return load<std::uint8_t>(at);
        case AccessSize::Word:
            return load<std::uint16_t>(at);
        case AccessSize::Dword:
            return load<std::uint32_t>(at);
        case AccessSize::Qword:
            break;
    }
    return load<std::uint64_t>(at);
}

void MemoryBar::write(Access access, std::uint64_t value) noexcept {
    std::byte* const at = find(access);
    if (at == nullptr)
        return;
    if (!is_aligned(at, access.size)) {
        for (unsigned i = 0; i < static_cast<unsigned>(access.size); ++i)
            store<std::uint8_t>(at + i, value >> (8 * i));
        return;
    }
    switch (access.size) {
        case AccessSize::Byte:
            return store<std::uint8_t>(at, value);
        case AccessSize::Word:
            return store<std::uint16_t>(at, value);
        case AccessSize::Dword:
            return store<std::uint32_t>(at, value);
        case AccessSize::Qword:
            return store<std::uint64_t>(at, value);
    }
}

}  // namespace vmm::pci
