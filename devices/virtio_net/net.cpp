// SPDX-License-Identifier: Apache-2.0
#include "virtio_net/net.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "virtio_net/offloads.hpp"
#include "vmm/assert.hpp"
#include "vmm/log.hpp"

namespace vmm::virtio_net {
namespace {

using virtio::Features;

constexpr std::uint32_t kReceiveEvents = EPOLLIN | EPOLLET;
constexpr std::uint16_t kEthernetMtu = 1500;
constexpr std::size_t kFrameAround = 18;  // bytes around a packet: Ethernet header and VLAN tag

}  // namespace

Result<std::unique_ptr<Net>> Net::create(std::unique_ptr<NetBackend> backend, Options options) {
    std::unique_ptr<Net> net{new Net{std::move(backend), std::move(options)}};
    VMM_TRY(net->make_worker(ThreadKind::NetIo, "io-" + net->options_.name, net->options_.stepper));
    return net;
}

Net::Net(std::unique_ptr<NetBackend> backend, Options options)
    : backend_{std::move(backend)},
      options_{std::move(options)},
      mac_{options_.mac},
      chain_{std::make_unique_for_overwrite<virtio::Chain>()} {
    const std::size_t pairs = backend_->channels();
    VMM_ASSERT(pairs > 0);
    for (std::uint32_t i = 0; i < pairs; ++i)
        pairs_.emplace_back(i, backend_->channel(i));
    queue_sizes_.assign(2 * pairs, options_.queue_size);
    queue_sizes_.push_back(kControlSize);
    if (!options_.mtu)
        options_.mtu = backend_->mtu();
    host_up_ = backend_->link_up();

    const Features given = guest_features(backend_->gives());
    offered_ = f::kMac | f::kMrgRxbuf | f::kStatus | f::kCtrlVq | f::kCtrlRx | f::kCtrlRxExtra |
               f::kCtrlMacAddr | f::kGuestAnnounce | given | host_features(backend_->takes()) |
               virtio::f::kInOrder;
    offered_ |= given != 0 ? f::kCtrlGuestOffloads : 0;
    offered_ |= options_.mtu ? f::kMtu : 0;
    offered_ |= pairs > 1 ? f::kMq : 0;
}

Net::~Net() {
    end_worker();
}

Net::Traffic Net::traffic() const noexcept {
    Traffic sum;
    for (const Pair& pair : pairs_) {
        sum.received += pair.receiver.counts().frames.value();
        sum.receive_dropped += pair.receiver.counts().dropped.value();
        sum.sent += pair.transmitter.counts().frames.value();
        sum.send_dropped += pair.transmitter.counts().dropped.value();
    }
    return sum;
}

// The register side.

bool Net::accepts(Features features) const noexcept {
    return consistent(features);
}

void Net::activate(Features features, std::span<virtio::Queue> queues) noexcept {
    can_announce_ = (features & f::kGuestAnnounce) != 0;
    WorkerDevice::activate(features, queues);
}

void Net::read_config(std::uint32_t offset, std::span<std::byte> to) noexcept {
    ConfigSpace config;
    config.mac = mac_;
    config.status = cable_ && host_up_ ? net_status::kLinkUp : std::uint16_t{0};
    if (announcing_)
        config.status |= net_status::kAnnounce;
    config.max_pairs = static_cast<std::uint16_t>(pairs_.size());
    config.mtu = options_.mtu.value_or(0);
    const auto bytes = std::as_bytes(std::span{&config, 1}).subspan(offset, to.size());
    std::ranges::copy(bytes, to.begin());
}

template <class Change>
void Net::change_as_owner(Change&& change) noexcept {
    if (link() == nullptr)
        change();
    else
        link()->update_config_as_owner(std::forward<Change>(change));
}

void Net::set_link(bool up) noexcept {
    change_as_owner([&] {
        announcing_ = announcing_ || (up && !cable_ && can_announce_);
        cable_ = up;
    });
}

void Net::announce() noexcept {
    change_as_owner([&] { announcing_ = can_announce_; });
}

// The I/O thread.

std::uint16_t Net::control_index() const noexcept {
    // Spec: 5.1.2: after the last pair that the driver uses.
    return static_cast<std::uint16_t>(has(f::kMq) ? 2 * pairs_.size() : 2);
}

Receiver::Rules Net::rules() const noexcept {
    const std::uint16_t mtu =
        std::max({kEthernetMtu, options_.mtu.value_or(0), backend_->mtu().value_or(0)});
    return {.mergeable = has(f::kMrgRxbuf),
            .undone = given_,
            .longest = given_.any_segmentation() ? kMaxFrame : mtu + kFrameAround};
}

void Net::started(Features features, std::span<virtio::Queue> queues) noexcept {
    features_ = features;
    queues_ = queues;
    active_ = 1;
    given_ = guest_offloads(features);
    backend_->use(given_);
    backend_->activate(active_);
    watch_channels();
    refresh_link();
}

void Net::watch_channels() noexcept {
    for (Pair& pair : pairs_) {
        if (pair.gone)
            continue;
        const auto watched = worker().watch(pair.channel->fd(), kReceiveEvents, pair.index);
        if (watched)
            continue;
        log::error(options_.name, ": ", watched.error().one_line());
        lose(pair);
    }
    if (backend_->link_fd() < 0)
        return;
    const auto watched = worker().watch(backend_->link_fd(), kReceiveEvents, kLinkSource);
    if (!watched)
        log::warn(options_.name, ": cannot follow the link: ", watched.error().one_line());
}

void Net::kicked(virtio::Queue& queue) noexcept {
    const std::uint16_t index = queue.index();
    if (index == control_index()) {
        run_control(queue);
        return;
    }
    if (index / 2 >= active_)
        return;
    Pair& pair = pairs_[index / 2u];
    if (index % 2 == 0) {
        if (!pair.receiver.running())
            pair.receiver.start(queue, rules());
        receive(pair);
        return;
    }
    if (!pair.transmitter.running())
        pair.transmitter.start(queue, host_offloads(features_));
    transmit(pair);
}

void Net::ready(std::uint32_t source, std::uint32_t events) noexcept {
    if (source == kLinkSource) {
        refresh_link();
        return;
    }
    Pair& pair = pairs_[source];
    if (pair.gone)
        return;
    if (pair.blocked && (events & ~std::uint32_t{EPOLLIN}) != 0) {
        unblock(pair);
        transmit(pair);
    }
    pair.hung_up = pair.hung_up || (events & (EPOLLERR | EPOLLHUP)) != 0;
    receive(pair);
}

void Net::receive(Pair& pair) noexcept {
    if (pair.gone)
        return;
    const Pause pause = pair.receiver.running() ? take_frames(pair) : Pause::Starved;
    // Whoever gives no buffers, or uses no such queue, still sees the link go down.
    if (pause == Pause::Gone || (pair.hung_up && pause != Pause::Budget))
        lose(pair);
    else if (pause == Pause::Budget)
        pair.receiver.queue()->kick();
    else if (pause == Pause::Idle)
        moderate(pair);
}

Pause Net::take_frames(Pair& pair) noexcept {
    Pause pause = pair.receiver.run(*chain_);
    while (pause == Pause::Starved && held_too_long(pair)) {
        pair.receiver.wait_no_longer();
        pause = pair.receiver.run(*chain_);
    }
    return pause;
}

// Linux adds buffers after it was given a used one, and then only if few are left: a frame that
// waited for more than there are would wait for ever, and so would all after it.
bool Net::held_too_long(Pair& pair) noexcept {
    const std::uint64_t frame = pair.receiver.held_frame();
    const bool same = frame == std::exchange(pair.held, frame);
    if (frame == 0)
        return false;
    const auto now = Moderation::Clock::now();
    if (same)
        return now >= pair.held_until;
    pair.held_until = now + options_.patience;
    worker().call_after(options_.patience, pair.index);
    return false;
}

// The channel is empty: back to being told when it is not, or a rest.
void Net::moderate(Pair& pair) noexcept {
    const auto frames = pair.receiver.counts().frames.value();
    pair.moderation.emptied(frames - std::exchange(pair.seen, frames), pair.receiver.expected(),
                            Moderation::Clock::now());
    const bool rest = pair.moderation.rest().count() > 0;
    if (rest)
        worker().call_after(pair.moderation.rest(), pair.index);
    if (rest != std::exchange(pair.muted, rest))
        watch_again(pair);
}

void Net::watch_again(Pair& pair) noexcept {
    const std::uint32_t events = (pair.muted ? 0u : EPOLLIN) | (pair.blocked ? EPOLLOUT : 0u);
    // Adds an edge at once if there is something by now.
    if (!worker().rewatch(pair.channel->fd(), events | EPOLLET, pair.index))
        lose(pair);
}

void Net::transmit(Pair& pair) noexcept {
    if (!pair.transmitter.running() || pair.blocked)
        return;
    switch (pair.transmitter.run(*chain_)) {
        case Pause::Blocked:
            pair.blocked = true;
            watch_again(pair);
            break;
        case Pause::Budget:
            pair.transmitter.queue()->kick();
            break;
        case Pause::Gone:
            lose(pair);
            pair.transmitter.queue()->kick();  // the rest of it is dropped
            break;
        case Pause::Idle:
        case Pause::Starved:
            break;
    }
}

void Net::unblock(Pair& pair) noexcept {
    pair.blocked = false;
    watch_again(pair);
}

// A channel is dead. Its transmit queue goes on, and drops.
void Net::lose(Pair& pair) noexcept {
    if (std::exchange(pair.gone, true))
        return;
    worker().unwatch(pair.channel->fd());
    pair.transmitter.lose();
    if (std::exchange(pair.blocked, false) && pair.transmitter.running())
        pair.transmitter.queue()->kick();
    if (!std::exchange(lost_, true))
        log::error(options_.name, ": ", backend_->why_gone(), "; the guest's link is down");
    refresh_link();
}

void Net::refresh_link() noexcept {
    const bool up = backend_->link_up() && !lost_;
    if (up == host_up_)  // only this thread changes it
        return;
    link()->update_config([&] {
        announcing_ = announcing_ || (up && can_announce_);
        host_up_ = up;
    });
}

void Net::stop(virtio::Queue& queue) noexcept {
    const std::uint16_t index = queue.index();
    if (index == control_index() || index / 2u >= pairs_.size())
        return;
    Pair& pair = pairs_[index / 2u];
    if (index % 2 == 0) {
        pair.receiver.stop();
        pair.held = 0;
        return;
    }
    pair.transmitter.stop();
    if (pair.blocked)
        unblock(pair);
}

void Net::stopped() noexcept {
    for (Pair& pair : pairs_) {
        if (!pair.gone)
            worker().unwatch(pair.channel->fd());
        pair.moderation = {};
        pair.muted = false;
    }
    if (backend_->link_fd() >= 0)
        worker().unwatch(backend_->link_fd());
    // The next driver may not want what this one did, and frames wait for it from here on.
    given_ = {};
    backend_->use(given_);
    features_ = 0;
    active_ = 0;
    queues_ = {};
    link()->update_config([&] {
        mac_ = options_.mac;
        announcing_ = false;
        can_announce_ = false;
    });
}

// The control queue.

void Net::run_control(virtio::Queue& queue) noexcept {
    queue.disable_kicks();
    // A command may take the host a while: whoever waits for the thread waits for one at most.
    for (unsigned commands = 0; commands < kControlBudget && !worker().commanded(); ++commands) {
        if (!queue.pop(*chain_)) {
            queue.publish();
            if (!queue.enable_kicks())
                return;
            queue.disable_kicks();
            continue;
        }
        virtio::Cursor answer = chain_->writer();
        std::uint32_t written = 0;
        // A command whose answer nobody would see is not carried out.
        if (answer.remaining() > 0) {
            const std::uint8_t ack =
                run_command(chain_->reader(), queue.memory(), features_, *this);
            written = answer.write(queue.memory(), ack) ? 1 : 0;
        }
        queue.complete(chain_->head(), written);
    }
    queue.publish();
    queue.kick();
}

bool Net::set_pairs(std::uint16_t pairs) noexcept {
    if (pairs == 0 || pairs > pairs_.size())
        return false;
    if (pairs == active_)
        return true;
    active_ = pairs;
    backend_->activate(pairs);
    // What came while they were not looked at.
    for (std::size_t i = 0; i < 2 * active_; ++i)
        queues_[i].kick();
    return true;
}

void Net::set_mac(const MacAddress& mac) noexcept {
    link()->update_config([&] { mac_ = mac; });
}

void Net::acknowledge_announcement() noexcept {
    link()->update_config([&] { announcing_ = false; });
}

void Net::set_guest_offloads(Features bits) noexcept {
    const FrameOffloads given = guest_offloads(bits);
    if (given == given_)
        return;
    given_ = given;
    backend_->use(given_);
    for (Pair& pair : pairs_)
        pair.receiver.set_rules(rules());
}

}  // namespace vmm::virtio_net
