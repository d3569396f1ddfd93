// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/mac.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>

namespace vmm::virtio_net {
namespace {

// FNV-1a, 64 bits.
constexpr std::uint64_t kFnvStart = 0xcbf2'9ce4'8422'2325;
constexpr std::uint64_t kFnvPrime = 0x0000'0100'0000'01b3;

std::uint64_t hashed(std::uint64_t hash, std::string_view text) noexcept {
    for (const char c : text)
        hash = (hash ^ static_cast<std::uint8_t>(c)) * kFnvPrime;
    return hash;
}

// Every bit of the input moves about half of those of the result (MurmurHash3's last step).
std::uint64_t stirred(std::uint64_t hash) noexcept {
    hash = (hash ^ hash >> 33) * 0xff51'afd7'ed55'8ccd;
    hash = (hash ^ hash >> 33) * 0xc4ce'b9fe'1a85'ec53;
    return hash ^ hash >> 33;
}

}  // namespace

std::optional<MacAddress> parse_mac(std::string_view text) {
    MacAddress mac{};
    if (text.size() != 17)
        return std::nullopt;
    for (std::size_t i = 0; i < mac.size(); ++i) {
        const char* const from = text.data() + 3 * i;
        const auto parsed = std::from_chars(from, from + 2, mac[i], 16);
        if (parsed.ec != std::errc{} || parsed.ptr != from + 2)
            return std::nullopt;
        if (i + 1 < mac.size() && from[2] != ':')
            return std::nullopt;
    }
    return mac;
}

std::string mac_text(const MacAddress& mac) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : mac) {
        if (!text.empty())
            text += ':';
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

MacAddress generated_mac(std::string_view machine, std::string_view device) noexcept {
    std::uint64_t hash = hashed(kFnvStart, machine);
    hash = hashed(hash, std::string_view{"\0", 1});  // "ab" of "c" is not "a" of "bc"
    hash = stirred(hashed(hash, device));
    MacAddress mac{};
    for (std::uint8_t& byte : mac) {
        byte = static_cast<std::uint8_t>(hash);
        hash >>= 8;
    }
    mac[0] = static_cast<std::uint8_t>((mac[0] & ~1u) | 2u);  // one interface's, made here
    return mac;
}

}  // namespace vmm::virtio_net
