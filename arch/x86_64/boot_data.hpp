// SPDX-License-Identifier: Apache-2.0
// The area below 128 KiB from which a kernel takes what the boot protocol hands over. Things are
// put one after the other, so that few pages are touched.
//
// Its pages are ordinary RAM in the memory map; Linux copies what it needs before it uses them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/error.hpp"
#include "vmm/guest_memory.hpp"
#include "x86_64/layout.hpp"

namespace vmm::x86_64 {

class BootData {
public:
    explicit BootData(GuestMemory& memory) : memory_{memory} {}

    /// Reserves room; RAM is zero there.
    Result<Gpa> reserve(std::uint64_t size, std::uint64_t alignment, std::string_view what);

    Result<Gpa> put(std::span<const std::byte> bytes, std::uint64_t alignment,
                    std::string_view what);

    /// With a final zero.
    Result<Gpa> put_text(std::string_view text, std::string_view what);

    template <class T>
    Result<Gpa> put_array(std::span<const T> values, std::string_view what) {
        return put(std::as_bytes(values), alignof(T), what);
    }

    Result<> fill(Gpa at, std::span<const std::byte> bytes, std::string_view what);

    /// Identity mapping of the first 4 GiB in pages of 2 MiB; gives the address of the top table.
    Result<Gpa> put_page_tables();

private:
    GuestMemory& memory_;
    std::uint64_t next_ = kBootData.first.value();
};

}  // namespace vmm::x86_64
