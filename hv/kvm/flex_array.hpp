// SPDX-License-Identifier: Apache-2.0
// KVM structures that end in a variable number of entries: kvm_cpuid2, kvm_msrs, kvm_irq_routing.
// Private to hv/kvm.
//
// Their C++ size cannot be trusted, nor can the request numbers that encode it: Linux headers
// before 6.7 declare the tail after an empty struct, which takes a byte in C++ and none in C. So
// the fixed part and its size are written down here.
#pragma once

#include <linux/ioctl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace vmm::kvm {

/// The request with the size that C gives its structure.
constexpr unsigned long with_size(unsigned long request, unsigned long size) {
    constexpr unsigned long kSizeField = static_cast<unsigned long>(_IOC_SIZEMASK)
                                         << _IOC_SIZESHIFT;
    return (request & ~kSizeField) | (size << _IOC_SIZESHIFT);
}

/// What stands before the entries: of kvm_cpuid2 (nent, padding), kvm_msrs (nmsrs, pad) and
/// kvm_irq_routing (nr, flags).
struct ListHeader {
    std::uint32_t count;
    std::uint32_t flags;
};
static_assert(sizeof(ListHeader) == 8);

/// The same of kvm_msr_list (nmsrs).
struct ShortListHeader {
    std::uint32_t count;
};
static_assert(sizeof(ShortListHeader) == 4);

/// Of kvm_xsave, without its tail.
inline constexpr std::size_t kXsaveSize = 4096;

/// A zeroed Header followed by room for `capacity` entries, in one block as the ioctl wants it.
template <class Header, class Entry>
requires std::is_trivially_copyable_v<Header> && std::is_trivially_copyable_v<Entry>
class FlexArray {
public:
    static_assert(alignof(Header) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    static_assert(alignof(Entry) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    static_assert(sizeof(Header) % alignof(Entry) == 0, "entries would not follow the header");

    // An array of bytes is storage in which trivial types come to life by themselves.
    explicit FlexArray(std::size_t capacity)
        : bytes_{std::make_unique<std::byte[]>(sizeof(Header) + capacity * sizeof(Entry))},
          capacity_{capacity} {}

    Header* header() { return std::launder(reinterpret_cast<Header*>(bytes_.get())); }
    std::span<Entry> entries() {
        return {std::launder(reinterpret_cast<Entry*>(bytes_.get() + sizeof(Header))), capacity_};
    }

private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t capacity_;
};

}  // namespace vmm::kvm
