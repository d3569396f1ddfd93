// SPDX-License-Identifier: Apache-2.0
#include "config/publish.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <optional>
#include <utility>

#include "config/suggest.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

constexpr std::uint64_t kLastPort = 65535;

struct Range {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
};

std::unexpected<Error> bad_place(std::string_view text, std::string_view why, std::string advice) {
    return std::unexpected(
        Error{ErrorKind::Config, cat(in_quotes(text), why)}.hint(std::move(advice)));
}

std::unexpected<Error> malformed(std::string_view text) {
    return bad_place(text, " is not [ADDRESS:]HOST:GUEST[/tcp|/udp]",
                     "Give two port numbers, such as 8080:80, or 127.0.0.1:8080:80/tcp.");
}

std::optional<std::uint16_t> port(std::string_view text) {
    const auto number = text.starts_with("0x") ? Result<std::uint64_t>{0} : parse_number(text);
    if (!number || *number == 0 || *number > kLastPort)
        return std::nullopt;
    return static_cast<std::uint16_t>(*number);
}

/// "80" or "8000-8010".
std::optional<Range> ports(std::string_view text) {
    const auto dash = text.find('-');
    const auto first = port(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : port(text.substr(dash + 1));
    if (!first || !last || *last < *first)
        return std::nullopt;
    return Range{*first, *last};
}

bool is_address(int family, const std::string& text) {
    std::array<std::byte, sizeof(in6_addr)> address{};
    return ::inet_pton(family, text.c_str(), address.data()) == 1;
}

/// Cuts the address off, if there is one: what stands before the last but one colon.
Result<std::string> take_address(std::string_view text, std::string_view& rest) {
    const auto guest = rest.rfind(':');
    const auto host = guest == 0 || guest == std::string_view::npos ? std::string_view::npos
                                                                    : rest.rfind(':', guest - 1);
    if (host == std::string_view::npos)
        return PublishRule{}.address;
    std::string address{rest.substr(0, host)};
    const bool brackets = address.starts_with('[') && address.ends_with(']');
    if (brackets)
        address = address.substr(1, address.size() - 2);
    if (!brackets && is_address(AF_INET6, address))
        return bad_place(text, ": an IPv6 address stands between brackets",
                         cat("Write [", address, "]", rest.substr(host), "."));
    if (!is_address(brackets ? AF_INET6 : AF_INET, address))
        return bad_place(
            text, cat(": ", in_quotes(address), " is not an address of the host"),
            "Give an IPv4 address, an IPv6 address between brackets, or none for 127.0.0.1; "
            "0.0.0.0 is every IPv4 address.");
    rest.remove_prefix(host + 1);
    return address;
}

bool is_any(std::string_view address) {
    return address == "0.0.0.0" || address == "::";
}

/// One family has the other's ports to itself.
bool meet(const std::string& a, const std::string& b) {
    const bool same_family = a.contains(':') == b.contains(':');
    return same_family && (a == b || is_any(a) || is_any(b));
}

}  // namespace

Result<PublishRule> parse_publish(std::string_view text) {
    PublishRule rule;
    auto rest = text;
    if (const auto slash = rest.rfind('/'); slash != std::string_view::npos) {
        const auto protocol = rest.substr(slash + 1);
        if (protocol != "tcp" && protocol != "udp")
            return bad_place(text, cat(": ", in_quotes(protocol), " is neither tcp nor udp"),
                             "Write /tcp or /udp after the ports, or nothing for both.");
        rule.tcp = protocol == "tcp";
        rule.udp = protocol == "udp";
        rest = rest.substr(0, slash);
    }
    rule.address = VMM_TRY(take_address(text, rest));
    const auto colon = rest.find(':');
    if (colon == std::string_view::npos)
        return malformed(text);
    const auto host = ports(rest.substr(0, colon));
    const auto guest = ports(rest.substr(colon + 1));
    if (!host || !guest)
        return malformed(text);
    if (host->last - host->first != guest->last - guest->first)
        return bad_place(text,
                         cat(" has ", host->last - host->first + 1, " ports of the host for ",
                             guest->last - guest->first + 1, " of the guest"),
                         "Give two ranges of the same length, such as 8000-8010:9000-9010.");
    rule.host_first = host->first;
    rule.host_last = host->last;
    rule.guest_first = guest->first;
    return rule;
}

bool clash(const PublishRule& a, const PublishRule& b, bool one_device) {
    const bool protocol = (a.tcp && b.tcp) || (a.udp && b.udp);
    const bool ports = a.host_first <= b.host_last && b.host_first <= a.host_last;
    return protocol && ports && (one_device || meet(a.address, b.address));
}

}  // namespace vmm::config
