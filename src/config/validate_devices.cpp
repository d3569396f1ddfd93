// SPDX-License-Identifier: Apache-2.0
// The part of config/validate.hpp for disks and network devices.
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "config/device_name.hpp"
#include "config/limits.hpp"
#include "config/publish.hpp"
#include "config/suggest.hpp"
#include "config/validate.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

std::unexpected<Error> bad(std::string what, std::string advice) {
    return std::unexpected(Error{ErrorKind::Config, std::move(what)}.hint(std::move(advice)));
}

Result<> check_queue_size(const std::string& path, std::uint32_t size) {
    if (!std::has_single_bit(size))
        return bad(cat(path, ".queue_size ", size, " is not a power of two"),
                   cat("Give ", std::bit_floor(size), "."));
    return {};
}

Result<> check_blocks(const DiskConfig& disk, const std::string& path) {
    const auto logical = disk.block_size;
    if (logical && *logical != kMinBlockSize && *logical != kMaxBlockSize)
        return bad(
            cat(path, ".block_size ", *logical, " is neither ", kMinBlockSize, " nor ",
                kMaxBlockSize),
            cat("Give ", kMinBlockSize, ", which every guest takes, or ", kMaxBlockSize, "."));
    const auto physical = disk.physical_block_size;
    if (physical && !std::has_single_bit(*physical))
        return bad(cat(path, ".physical_block_size ", *physical, " is not a power of two"),
                   cat("Give ", std::bit_floor(*physical), "."));
    if (physical && logical && *physical < *logical)
        return bad(cat(path, ".physical_block_size ", *physical, " is less than its block_size ",
                       *logical),
                   cat("Give ", *logical, " or more, or leave it out."));
    return {};
}

Result<> check_disk(const DiskConfig& disk, const std::string& path) {
    if (disk.path.empty())
        return bad(cat(path, " (--disk) has no path"), "Name its image: path=FILE.");
    const auto is_control = [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; };
    if (std::ranges::any_of(disk.serial, is_control))
        return bad(cat(path, ".serial: ", in_quotes(disk.serial), " has a control character"),
                   "Use letters, digits and signs.");
    VMM_TRY(check_blocks(disk, path));
    VMM_TRY(check_queue_size(path, disk.queue_size));
    if (std::uint64_t{disk.num_queues} * disk.queue_size > kMaxDiskRequests)
        return bad(cat(path, ".num_queues ", disk.num_queues, " with queue_size ", disk.queue_size,
                       " are ", std::uint64_t{disk.num_queues} * disk.queue_size,
                       " requests at a time, more than ", kMaxDiskRequests),
                   cat("Give num_queues=", kMaxDiskRequests / disk.queue_size,
                       " or a smaller queue_size; as many queues as vCPUs are enough."));
    return {};
}

// ---------------------------------------------------------------- networks

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
    const auto fits = [](char c) {
        return c != '/' && c != ':' && c != 0x7f && (c < 0 || c > ' ');
    };
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

/// A name that a device has, given as its id or made up.
struct Named {
    std::string name;
    std::string who;
    bool given = false;
    bool may_have_id = true;
};

std::vector<Named> names_of(const VmConfig& config) {
    std::vector<Named> names;
    const auto fixed = [&](std::string_view name, std::string_view who) {
        names.push_back({std::string{name}, std::string{who}, false, false});
    };
    if (config.console.mode != ConsoleMode::Off)
        fixed(kConsoleName, "the console");
    if (!config.console_ports.empty())
        fixed(kConsolePortsName, "the device with console_ports");
    if (config.rng)
        fixed(kRngName, "the entropy device");
    if (config.pvpanic)
        fixed(kPvPanicName, "the panic device");
    const auto listed = [&](const auto& devices, std::string_view key, std::string_view kind) {
        for (std::size_t i = 0; i < devices.size(); ++i)
            names.push_back({device_name(devices[i].id, kind, i), cat(key, "[", i, "]"),
                             !devices[i].id.empty()});
    };
    listed(config.disks, "disks", "disk");
    listed(config.net, "net", "net");
    return names;
}

Result<> check_names(const VmConfig& config) {
    const auto has_id = [](const auto& device) { return !device.id.empty(); };
    if (std::ranges::none_of(config.disks, has_id) && std::ranges::none_of(config.net, has_id))
        return {};
    auto names = names_of(config);
    std::ranges::sort(names, {}, &Named::name);
    auto first = std::ranges::adjacent_find(names, {}, &Named::name);
    if (first == names.end())
        return {};
    auto second = std::next(first);
    if (first->given && second->given)
        return bad(cat("two devices have the id ", in_quotes(first->name)),
                   "Give each an id of its own.");
    if (!first->given)
        std::swap(first, second);
    return bad(cat(first->who, ".id: ", in_quotes(first->name), " is the name of ", second->who,
                   " already"),
               second->may_have_id
                   ? cat("Give it another id, or give ", second->who, " an id, too.")
                   : std::string{"Give it another id."});
}

}  // namespace

Result<> validate_devices(const VmConfig& config) {
    for (std::size_t i = 0; i < config.disks.size(); ++i)
        VMM_TRY(check_disk(config.disks[i], cat("disks[", i, "]")));
    for (std::size_t i = 0; i < config.net.size(); ++i)
        VMM_TRY(check_net(config.net[i], cat("net[", i, "]")));
    VMM_TRY(check_claims(config.net));
    VMM_TRY(check_published(config.net));
    return check_names(config);
}

}  // namespace vmm::config
