// The two ways in which zstd reads bits: forward for table descriptions, backward for coded data.
//
// Spec: RFC 8878, 4.1 (FSE), 4.2 (Huffman). Both check that they stay within what they were given.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace vmm::x86_64::zstd {

using Bytes = std::span<const std::byte>;

inline std::uint64_t load64(const std::byte* at) {
    std::uint64_t value = 0;
    std::memcpy(&value, at, sizeof value);
    return value;
}

inline std::uint64_t low_bits(std::uint64_t value, unsigned count) {
    return value & ((std::uint64_t{1} << count) - 1);
}

/// From the first byte up, least significant bit first. Bits behind the end are zero, and noticed.
class ForwardBits {
public:
    explicit ForwardBits(Bytes from) : from_{from} {}

    /// `count` is at most 16.
    unsigned peek(unsigned count) const {
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < 4 && at_ / 8 + i < from_.size(); ++i)
            value |= std::to_integer<std::uint32_t>(from_[at_ / 8 + i]) << (8 * i);
        return (value >> (at_ % 8)) & ((1U << count) - 1);
    }
    void skip(unsigned count) { at_ += count; }
    unsigned read(unsigned count) {
        const unsigned value = peek(count);
        skip(count);
        return value;
    }
    std::size_t bytes_used() const { return (at_ + 7) / 8; }
    bool overrun() const { return bytes_used() > from_.size(); }

private:
    Bytes from_;
    std::size_t at_ = 0;  // bits
};

/// From the last byte down; the highest set bit of the last byte is a mark in front of the first
/// bit. Reads eight bytes at a time, so eight bytes in front of the stream must be readable too;
/// they are never taken for data if unread() is looked at in the end.
class BackwardBits {
public:
    /// False when there is no mark.
    bool open(Bytes from) {
        if (from.empty() || from.back() == std::byte{0})
            return false;
        begin_ = from.data();
        at_ = from.data() + from.size() - 8;
        bits_ = load64(at_);
        left_ = 63 - static_cast<unsigned>(std::countl_zero(bits_));
        return true;
    }

    /// At least 56 bits may be read then. False when more was read than there is.
    bool refill() {
        at_ += left_ / 8;
        at_ -= 7;
        left_ |= 56;
        if (at_ < begin_ - 8) [[unlikely]]
            return false;
        bits_ = load64(at_);
        return true;
    }

    std::uint64_t read(unsigned count) {
        left_ -= count;
        return low_bits(bits_ >> left_, count);
    }
    unsigned left() const { return left_; }

    /// Unread bits; negative when more were read than there are.
    std::ptrdiff_t unread() const {
        return (at_ - begin_) * 8 + static_cast<std::ptrdiff_t>(left_);
    }

private:
    const std::byte* begin_ = nullptr;
    const std::byte* at_ = nullptr;
    std::uint64_t bits_ = 0;
    unsigned left_ = 0;  // unread bits of bits_, the lowest ones; at most 63
};

}  // namespace vmm::x86_64::zstd
