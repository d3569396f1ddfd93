// SPDX-License-Identifier: Apache-2.0
// Network cards: on a tap interface, or on passt.
#include "virtio_net/net.hpp"

#include <array>
#include <bit>
#include <utility>

#include "backends/net/passt.hpp"
#include "backends/net/tap.hpp"
#include "config/kinds/kinds.hpp"
#include "config/publish.hpp"
#include "machine/devices/kinds.hpp"
#include "machine/host_entropy.hpp"
#include "virtio_net/mac.hpp"
#include "vmm/log.hpp"
#include "vmm/net_backend.hpp"
#include "vmm/text.hpp"

namespace vmm::machine {
namespace {

Result<PasstOptions> passt_options(const NetConfig& net) {
    PasstOptions options;
    options.mtu = net.mtu.value_or(options.mtu);
    for (const auto& text : net.publish) {
        auto rule = VMM_TRY_OR(config::parse_publish(text), "publish");
        options.publish.push_back({.address = std::move(rule.address),
                                   .host_first = rule.host_first,
                                   .host_last = rule.host_last,
                                   .guest_first = rule.guest_first,
                                   .tcp = rule.tcp,
                                   .udp = rule.udp});
    }
    return options;
}

Result<std::unique_ptr<NetBackend>> open_net(const NetConfig& net) {
    if (net.backend == NetBackendKind::User)
        return start_passt(VMM_TRY(passt_options(net)));
    if (!net.fds.empty())
        return adopt_tap(net.fds);
    return open_tap({.name = net.tap, .queues = net.num_queues / 2, .mtu = net.mtu});
}

/// The one that was given; or one that is the same at each start of a machine with a name; or one
/// at random, so that two machines without names can meet on one network.
MacAddress mac_of(std::string_view machine, const NetConfig& net, std::string_view name) {
    if (const auto given = virtio_net::parse_mac(net.mac))
        return *given;
    if (!machine.empty())
        return virtio_net::generated_mac(machine, name);
    std::array<std::byte, 16> chance{};
    HostEntropy{}.fill(chance);
    const auto text = std::bit_cast<std::array<char, 16>>(chance);
    return virtio_net::generated_mac({text.data(), text.size()}, name);
}

Result<MadeDevice> make(std::string_view machine, const NetConfig& net, const std::string& id,
                        const DeviceParts& parts) {
    auto backend = VMM_TRY_OR(open_net(net), cat("--net: ", id));
    virtio_net::Options options{.name = id,
                                .mac = mac_of(machine, net, id),
                                .mtu = net.mtu,
                                .queue_size = static_cast<std::uint16_t>(net.queue_size)};
    log::info(id, ": MAC address ", virtio_net::mac_text(options.mac));
    auto body = VMM_TRY(virtio_net::Net::create(std::move(backend), std::move(options)));
    auto device = VMM_TRY(make_virtio_device(std::move(body), net.packed, parts));
    return MadeDevice{std::move(device), {}};
}

}  // namespace

std::vector<NewDevice> net_devices(const VmConfig& config) {
    std::vector<NewDevice> wanted;
    wanted.reserve(config.net.size());
    for (const auto& net : config.net)
        wanted.push_back({config::kNet.name_of(config, wanted.size()),
                          [&config, &net](const std::string& id, const DeviceParts& parts) {
                              return make(config.name, net, id, parts);
                          },
                          net.pci_device_id});
    return wanted;
}

}  // namespace vmm::machine
