// SPDX-License-Identifier: Apache-2.0
// Guest RAM as devices and loaders may touch it.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include "vmm/gpa.hpp"

namespace vmm {

/// Which way payload moves: a dirty log and an IOMMU want to know which pages a device changes.
enum class Transfer : std::uint8_t {
    FromGuest,  ///< the device reads RAM
    ToGuest,    ///< it writes there
};

/// A window into RAM that was checked once, for structures whose place is fixed while they are in
/// use (virtqueue rings from DRIVER_OK to reset). Every access is bounds-checked by the view and is
/// a single load or store, so a value is read from the guest exactly once.
/// The RAM behind it lives as long as the GuestMemory it came from.
class GuestView {
public:
    GuestView() = default;
    GuestView(std::byte* host, std::size_t size) : host_{host}, size_{size} {}

    std::size_t size() const { return size_; }
    explicit operator bool() const { return host_ != nullptr; }

    /// Little endian, naturally aligned; `offset` beyond the view is our own bug and aborts.
    template <class T>
    T load(std::size_t offset, std::memory_order order = std::memory_order_relaxed) const {
        return std::atomic_ref<T>{*at<T>(offset)}.load(order);
    }
    template <class T>
    void store(std::size_t offset, T value, std::memory_order order = std::memory_order_relaxed) {
        std::atomic_ref<T>{*at<T>(offset)}.store(value, order);
    }

    /// Copies a structure; the copy is what gets checked and used.
    template <class T>
    requires std::is_trivially_copyable_v<T> T copy(std::size_t offset)
    const {
        T value{};
        check(offset, sizeof(T));
        std::memcpy(&value, host_ + offset, sizeof(T));
        std::atomic_signal_fence(std::memory_order_seq_cst);  // the copy is not read again
        return value;
    }
    template <class T>
    requires std::is_trivially_copyable_v<T>
    void put(std::size_t offset, const T& value) {
        check(offset, sizeof(T));
        std::memcpy(host_ + offset, &value, sizeof(T));
    }

private:
    static_assert(std::endian::native == std::endian::little);

    void check(std::size_t offset, std::size_t length) const {
        if (length > size_ || offset > size_ - length) [[unlikely]]
            __builtin_trap();
    }
    template <class T>
    T* at(std::size_t offset) const {
        check(offset, sizeof(T));
        if (offset % alignof(T) != 0) [[unlikely]]
            __builtin_trap();
        return reinterpret_cast<T*>(host_ + offset);
    }

    std::byte* host_ = nullptr;
    std::size_t size_ = 0;
};

/// The guest writes this memory while we read it. So a device takes a copy, checks the copy and
/// uses the copy; it never holds a pointer or span into RAM for data whose content it interprets.
/// Threads: any.
class GuestMemory {
public:
    virtual ~GuestMemory() = default;

    /// False, and nothing copied, if any byte of the range is not RAM. A range may cross from one
    /// RAM region into the next where they touch.
    [[nodiscard]] virtual bool copy_in(Gpa from, std::span<std::byte> to) const noexcept = 0;
    [[nodiscard]] virtual bool copy_out(Gpa to, std::span<const std::byte> from) noexcept = 0;

    /// For payload that nobody interprets: where [at, at + length) lies in the host, as iovecs for
    /// one readv or writev in the direction of `transfer`. Gives how many of `out` were filled, or
    /// nothing if a byte of the range is not RAM or `out` is too short. `length` zero fills none.
    [[nodiscard]] virtual std::optional<std::size_t> host_iovecs(
        Gpa at, std::uint64_t length, Transfer transfer, std::span<iovec> out) const noexcept = 0;

    /// An empty view if the range is not RAM as a whole, or is not one piece of the host. It may
    /// cross from one RAM region into the next. A ring in pieces is found by host_iovecs() and
    /// works as well (virtio/scattered_view.hpp), but each access costs more, so regions that
    /// touch in the guest are best mapped side by side. Alignment is the caller's.
    [[nodiscard]] virtual GuestView view(Gpa at, std::uint64_t length) const noexcept = 0;

    template <class T>
    requires std::is_trivially_copyable_v<T>
    [[nodiscard]] std::optional<T> read(Gpa from) const noexcept {
        T value;
        if (!copy_in(from, std::as_writable_bytes(std::span{&value, 1})))
            return std::nullopt;
        return value;
    }

    template <class T>
    requires std::is_trivially_copyable_v<T>
    [[nodiscard]] bool write(Gpa to, const T& value) noexcept {
        return copy_out(to, std::as_bytes(std::span{&value, 1}));
    }
};

}  // namespace vmm
