// SPDX-License-Identifier: Apache-2.0
// Network devices.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "config/foreign_keys.hpp"
#include "config/kinds/kinds.hpp"
#include "config/kinds/rules.hpp"
#include "config/limits.hpp"
#include "config/publish.hpp"
#include "config/suggest.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

using enum ForeignKey::Normal;

constexpr std::array<std::string_view, 2> kNetBackendNames{"tap", "user"};
static_assert(kNetBackendNames[static_cast<std::size_t>(NetBackendKind::User)] == "user");

constexpr auto kKeys = std::array{
    key<&NetConfig::tap>(
        {.name = "tap", .value = "NAME", .help = "Tap interface; a new one if not given"}),
    key<&NetConfig::backend>({.name = "backend",
                              .help = "What carries the frames: a tap interface, or passt, which "
                                      "needs no privilege",
                              .choices = kNetBackendNames,
                              .bare_choice = true}),
    key<&NetConfig::fds>({.name = "fds",
                          .alias = "fd",
                          .help = "Open descriptors of a tap interface, one for each queue pair"}),
    key<&NetConfig::publish>({.name = "publish",
                              .value = "[ADDRESS:]HOST:GUEST[/tcp|/udp]",
                              .help =
                                  "With backend user: host port, or range of ports, that leads to "
                                  "the guest's; at 127.0.0.1 and for both protocols if not "
                                  "given"}),
    key<&NetConfig::mac>({.name = "mac",
                          .help =
                              "The guest's address; if not given, made from the machine's name, or "
                              "random for one without a name"}),
    key<&NetConfig::mtu>({.name = "mtu",
                          .help = "Largest frame payload; the backend's if not given",
                          .least = kMinMtu,
                          .most = kMaxMtu}),
    key<&NetConfig::num_queues>({.name = "num_queues",
                                 .help = "Receive and transmit queues together, an even number",
                                 .least = 2,
                                 .most = kMaxNetQueues}),
    key<&NetConfig::queue_size>({.name = "queue_size",
                                 .help = "Descriptors in each queue, a power of two",
                                 .least = 2,
                                 .most = kMaxQueueSize}),
    key<&NetConfig::packed>({.name = "packed", .help = "Offer the packed ring"}),
    key<&NetConfig::id>({.name = "id", .help = "Name of the device; made up if not given"}),
    slot_key<&NetConfig::pci_device_id>(),
};

int hex_digit(char c) {
    int value = -1;
    std::from_chars(&c, &c + 1, value, 16);
    return value;
}

bool is_unicast_mac(std::string_view text) {
    constexpr std::size_t kLength = 17;  // xx:xx:xx:xx:xx:xx
    if (text.size() != kLength)
        return false;
    for (std::size_t i = 0; i < kLength; ++i)
        if (i % 3 == 2 ? text[i] != ':' : hex_digit(text[i]) < 0)
            return false;
    const bool group = (hex_digit(text[1]) & 1) != 0;
    return !group && text != "00:00:00:00:00:00";
}

Result<> check_publish(const std::vector<std::string>& publish, const std::string& path) {
    for (const auto& text : publish)
        VMM_TRY_OR(parse_publish(text), cat(path, ".publish"));
    return {};
}

/// As the kernel has it (dev_valid_name), and without what a terminal would act on.
Result<> check_tap_name(const std::string& name, const std::string& path) {
    constexpr std::size_t kInterfaceNameMax = 15;  // IFNAMSIZ less its final zero
    if (name.size() > kInterfaceNameMax)
        return bad(cat(path, ".tap: ", in_quotes(name), " is too long for an interface"),
                   "Interface names have at most 15 bytes.");
    const auto fits = [](unsigned char c) { return c != '/' && c != ':' && c != 0x7f && c > ' '; };
    if (!std::ranges::all_of(name, fits) || name == "." || name == "..")
        return bad(cat(path, ".tap: ", in_quotes(name), " cannot be the name of an interface"),
                   "Interface names have no '/', ':' or blanks, and are not '.' or '..'.");
    return {};
}

Result<> check_queues(const NetConfig& net, const std::string& path) {
    if (net.num_queues % 2 != 0)
        return bad(cat(path, ".num_queues ", net.num_queues, " is odd"),
                   "Receive and transmit queues count alone and come in pairs.");
    if (net.backend == NetBackendKind::User && net.num_queues != 2)
        return bad(cat(path, ".num_queues ", net.num_queues, " with the backend user"),
                   "Leave it out: passt has one pair of queues.");
    if (!net.fds.empty() && net.fds.size() != net.num_queues / 2)
        return bad(cat(path, ".fds: ", net.fds.size(), " descriptors for ", net.num_queues / 2,
                       " pairs of queues"),
                   cat("Write num_queues=", 2 * net.fds.size(), ", or name as many descriptors."));
    return check_queue_size(path, net.queue_size);
}

Result<> check_net(const NetConfig& net, const std::string& path) {
    const bool user = net.backend == NetBackendKind::User;
    if (user && (!net.tap.empty() || !net.fds.empty()))
        return bad(cat(path, " (--net) has the backend user and a tap interface"),
                   "Leave out tap and fds, or the backend.");
    if (!user && !net.publish.empty())
        return bad(cat(path, ".publish needs the backend user"),
                   "Add backend=user (--net user,publish=HOST:GUEST), or leave publish out.");
    if (!net.tap.empty() && !net.fds.empty())
        return bad(cat(path, " (--net) has the name of a tap and descriptors"),
                   "Leave out tap: the descriptors belong to an interface already. Or leave out "
                   "fds.");
    if (const auto mtu = net.mtu.value_or(0); user && mtu > kMaxPasstMtu)
        return bad(cat(path, ".mtu ", mtu, " with the backend user"),
                   cat("Give at most ", kMaxPasstMtu, ", the most that passt can do."));
    for (const auto fd : net.fds)
        if (fd <= 2)
            return bad(cat(path, ".fds: descriptor ", fd,
                           " is standard input, output or error of vmm itself"),
                       "Pass the tap on as descriptor 3 or above.");
    VMM_TRY(check_publish(net.publish, path));
    VMM_TRY(check_tap_name(net.tap, path));
    if (!net.mac.empty() && !is_unicast_mac(net.mac))
        return bad(cat(path, ".mac: ", in_quotes(net.mac), " is not the address of one interface"),
                   "Give six bytes whose first is even, such as 52:54:00:12:34:56.");
    return check_queues(net, path);
}

// ---------------------------------------------------------------- what only one device can have

/// One of the things that a network device takes for itself.
struct Claim {
    std::string what;
    std::size_t net = 0;
    std::string_view advice;
};

void claim(const NetConfig& net, std::size_t index, std::vector<Claim>& claims) {
    if (!net.tap.empty())
        claims.push_back({cat("the tap ", in_quotes(net.tap)), index,
                          "Give each a tap of its own; several queues of one tap are num_queues=N "
                          "of one device."});
    for (const auto fd : net.fds)
        claims.push_back({cat("the descriptor ", fd), index,
                          "Give each pair of queues a descriptor of its own."});
    if (!net.mac.empty()) {
        auto mac = net.mac;
        for (char& c : mac)
            c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
        claims.push_back({cat("the MAC address ", mac), index,
                          "Give each an address of its own, or leave mac out."});
    }
}

Result<> check_claims(const std::vector<NetConfig>& nets) {
    std::vector<Claim> claims;
    for (std::size_t i = 0; i < nets.size(); ++i)
        claim(nets[i], i, claims);
    std::ranges::sort(claims, {}, [](const Claim& each) { return std::tie(each.what, each.net); });
    const auto first = std::ranges::adjacent_find(claims, {}, &Claim::what);
    if (first == claims.end())
        return {};
    const auto second = std::next(first);
    const auto who = cat("net[", first->net, "]");
    return bad(first->net == second->net
                   ? cat(who, " (--net) has ", first->what, " twice")
                   : cat(who, " and net[", second->net, "] (--net) both have ", first->what),
               std::string{first->advice});
}

/// Published ports, of all devices: passt takes each port of the host once for each protocol.
Result<> check_published(const std::vector<NetConfig>& nets) {
    struct Taken {
        PublishRule rule;
        const std::string* text;
        std::size_t net;
    };
    std::vector<Taken> taken;
    for (std::size_t i = 0; i < nets.size(); ++i)
        for (const auto& text : nets[i].publish) {
            const Taken now{VMM_TRY(parse_publish(text)), &text, i};
            for (const Taken& before : taken)
                if (clash(before.rule, now.rule, before.net == i))
                    return bad(
                        cat("net[", before.net, "].publish ", in_quotes(*before.text), " and net[",
                            i, "].publish ", in_quotes(text), " want the same port of the host, ",
                            std::max(before.rule.host_first, now.rule.host_first)),
                        "Publish each port of the host once.");
            taken.push_back(now);
        }
    return {};
}

constexpr std::string_view kOnTheTap =
    "The host's side has its address from the host: ip addr add ADDRESS/BITS dev TAP.";
constexpr std::string_view kOffloads =
    "Offloads are negotiated with the driver; switch them off in the guest (ethtool -K).";

constexpr auto kForeignKeys = std::array{
    ForeignKey{"iommu", Off, {}, kNoIommu},
    ForeignKey{"pci_segment", Zero, {}, kOneSegment},
    ForeignKey{"vhost_user", Off, {}, kNoVhostUser},
    ForeignKey{"vhost_socket", Absent, {}, kNoVhostUser},
    ForeignKey{"socket", Absent, {}, kNoVhostUser},
    ForeignKey{"vhost_mode", Text, "client", kNoVhostUser},
    ForeignKey{"rate_limiter_config", Absent, {}, kNoLimits},
    ForeignKey{"bw_size", Zero, {}, kNoLimits},
    ForeignKey{"bw_one_time_burst", Zero, {}, kNoLimits},
    ForeignKey{"bw_refill_time", Zero, {}, kNoLimits},
    ForeignKey{"ops_size", Zero, {}, kNoLimits},
    ForeignKey{"ops_one_time_burst", Zero, {}, kNoLimits},
    ForeignKey{"ops_refill_time", Zero, {}, kNoLimits},
    ForeignKey{"ip", Absent, {}, kOnTheTap},
    ForeignKey{"mask", Absent, {}, kOnTheTap},
    ForeignKey{"host_mac",
               Absent,
               {},
               "The host's side has its MAC address from the host: ip link set TAP address MAC."},
    ForeignKey{"offload_tso", On, {}, kOffloads},
    ForeignKey{"offload_ufo", On, {}, kOffloads},
    ForeignKey{"offload_csum", On, {}, kOffloads},
};

Result<> check(const VmConfig& config) {
    for (std::size_t i = 0; i < config.net.size(); ++i)
        VMM_TRY(check_net(config.net[i], cat("net[", i, "]")));
    VMM_TRY(check_claims(config.net));
    return check_published(config.net);
}

}  // namespace

constexpr DeviceSchema kNet{.table = {.name = "NetConfig",
                                      .help = "A virtio network device",
                                      .keys = kKeys,
                                      .defaults = defaults_of<NetConfig>,
                                      .foreign = kForeignKeys},
                            .name = "net",
                            .pci_devices = size_of_list<&VmConfig::net>,
                            .id = id_in_list<&VmConfig::net>,
                            .slot = slot_in_list<&VmConfig::net>,
                            .check = check};

}  // namespace vmm::config
