// SPDX-License-Identifier: Apache-2.0
#include "x86_64/kaslr.hpp"

#include <array>
#include <cstring>
#include <type_traits>

namespace vmm::x86_64 {
namespace {

using ByteView = std::span<const std::byte>;
using Place = std::int32_t;

Place place_at(ByteView list, std::size_t index) {
    Place place = 0;
    std::memcpy(&place, list.data() + index * sizeof place, sizeof place);
    return place;
}

/// `T` wraps: kernel addresses are near the top of the address space.
template <class T>
bool add_to_all(ByteView list, std::span<std::byte> image, std::uint64_t physical, T delta) {
    if (image.size() < sizeof(T))
        return false;
    const std::uint64_t origin = kKernelMapStart + physical;
    for (std::size_t i = 0; i < list.size() / sizeof(Place); ++i) {
        const auto address = static_cast<std::uint64_t>(std::int64_t{place_at(list, i)});
        const std::uint64_t offset = address - origin;
        if (offset > image.size() - sizeof(T))
            return false;
        T value;
        std::memcpy(&value, image.data() + offset, sizeof value);
        value = static_cast<T>(value + delta);
        std::memcpy(image.data() + offset, &value, sizeof value);
    }
    return true;
}

}  // namespace

RelocationLists split_relocations(std::span<const std::byte> appended) {
    const std::size_t count = appended.size() / sizeof(Place);
    if (count < 2 || appended.size() % sizeof(Place) != 0 || place_at(appended, 0) != 0)
        return {};
    std::array<ByteView, 3> lists;  // in the order in which they lie there
    std::size_t found = 0;
    std::size_t start = 1;
    for (std::size_t i = 1; i <= count; ++i) {
        if (i != count && place_at(appended, i) != 0)
            continue;
        if (found == lists.size())
            return {};
        lists[found++] = appended.subspan(start * sizeof(Place), (i - start) * sizeof(Place));
        start = i + 1;
    }
    if (found == 3)
        return {lists[0], lists[1], lists[2]};
    if (found == 2)
        return {lists[0], {}, lists[1]};
    return {};
}

bool relocate(const RelocationLists& lists, std::span<std::byte> image, std::uint64_t physical,
              std::uint64_t delta) {
    const auto delta32 = static_cast<std::uint32_t>(delta);
    return add_to_all(lists.pointers64, image, physical, delta) &&
           add_to_all(lists.pointers32, image, physical, delta32) &&
           add_to_all(lists.negated32, image, physical, 0 - delta32);
}

Result<bool> KaslrMove::relocate(std::span<const std::byte> appended, std::span<std::byte> image,
                                 std::uint64_t physical) const {
    const auto lists = split_relocations(appended);
    if (lists.empty())
        return false;
    if (!x86_64::relocate(lists, image, physical, delta_))
        return std::unexpected(
            Error{ErrorKind::Config, "the kernel's relocations point outside of it: damaged"});
    return true;
}

std::uint64_t kaslr_delta(std::uint64_t random, std::uint64_t physical, std::uint64_t size,
                          std::uint64_t alignment) {
    if (alignment == 0 || physical + size >= kKernelMapSize)
        return 0;
    const std::uint64_t places = (kKernelMapSize - physical - size) / alignment + 1;
    return random % places * alignment;
}

}  // namespace vmm::x86_64
