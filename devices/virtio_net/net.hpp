// SPDX-License-Identifier: Apache-2.0
// The virtio network device.
//
// Spec: virtio 1.3, 5.1. Offers MAC, MTU, STATUS, MRG_RXBUF, the control queue (MQ, receive modes,
// MAC address, announcements, guest offloads) and the checksum and segmentation offloads that the
// host's side has. Not offered: VLAN filters, RSS and hash reports, notification coalescing,
// SPEED_DUPLEX, STANDBY; legacy drivers.
// A host's side that goes away (tap deleted, helper process dead) shows as a link that is down; the
// driver's frames are then taken and dropped.
//
// Threads: one I/O thread serves all queues, each for a bounded number of frames at a time.
// set_link(), announce() and traffic() from any thread of the machine's; the rest as
// virtio/device.hpp has it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "virtio/device.hpp"
#include "virtio/worker_device.hpp"
#include "virtio_net/control.hpp"
#include "virtio_net/moderation.hpp"
#include "virtio_net/receiver.hpp"
#include "virtio_net/transmitter.hpp"
#include "virtio_net/wire.hpp"
#include "vmm/error.hpp"
#include "vmm/net_backend.hpp"

namespace vmm::virtio_net {

struct Options {
    std::string name = "net0";  ///< in log records and of the thread
    MacAddress mac{};
    std::optional<std::uint16_t> mtu;  ///< told to the guest; empty: what the host's side has
    std::uint16_t queue_size = 256;    ///< of receive and transmit queues; a power of two
    /// How long a frame waits for buffers that it lacks; less than a second. A driver that adds
    /// some without being given a frame first does so sooner.
    std::chrono::milliseconds patience{10};
    virtio::Stepper* stepper = nullptr;  ///< of a test
};

class Net final : public virtio::WorkerDevice, private ControlTarget {
public:
    /// A pair of queues for each of the backend's channels.
    static Result<std::unique_ptr<Net>> create(std::unique_ptr<NetBackend> backend,
                                               Options options);
    ~Net() override;

    /// Pulls the cable, or puts it back.
    void set_link(bool up) noexcept;
    /// Asks the driver to tell the network where it is, if it can.
    void announce() noexcept;

    struct Traffic {
        std::uint64_t received = 0;
        std::uint64_t receive_dropped = 0;
        std::uint64_t sent = 0;
        std::uint64_t send_dropped = 0;
    };
    Traffic traffic() const noexcept;

    // virtio::Device
    virtio::DeviceType type() const noexcept override { return virtio::DeviceType::Net; }
    virtio::Features features() const noexcept override { return offered_; }
    std::span<const std::uint16_t> queue_sizes() const noexcept override { return queue_sizes_; }
    std::uint32_t config_size() const noexcept override { return sizeof(ConfigSpace); }
    bool accepts(virtio::Features features) const noexcept override;
    void read_config(std::uint32_t offset, std::span<std::byte> to) noexcept override;
    /// Nothing in it is the driver's to write.
    void write_config(std::uint32_t, std::span<const std::byte>) noexcept override {}
    void prepare() noexcept override { backend_->prepare(); }
    void activate(virtio::Features features, std::span<virtio::Queue> queues) noexcept override;

private:
    /// One of the backend's channels and the queues that go with it.
    struct Pair {
        Pair(std::uint32_t number, FrameChannel& over)
            : index{number}, channel{&over}, receiver{over}, transmitter{over} {}

        std::uint32_t index;
        FrameChannel* channel;
        Receiver receiver;
        Transmitter transmitter;
        Moderation moderation;
        std::uint64_t seen = 0;  // frames received when the channel was empty last
        std::uint64_t held = 0;  // Receiver::held_frame() when that was last asked
        Moderation::Clock::time_point held_until;
        bool muted = false;    // a rest: nobody waits for EPOLLIN
        bool blocked = false;  // send() waits for EPOLLOUT
        bool hung_up = false;  // nothing more will come than is there
        bool gone = false;
    };
    static constexpr std::uint32_t kLinkSource = ~std::uint32_t{0};
    static constexpr std::uint16_t kControlSize = 64;
    static constexpr unsigned kControlBudget = 64;  // commands

    Net(std::unique_ptr<NetBackend> backend, Options options);

    // Worker::Handler: the I/O thread from here on.
    void started(virtio::Features features, std::span<virtio::Queue> queues) noexcept override;
    void kicked(virtio::Queue& queue) noexcept override;
    void ready(std::uint32_t source, std::uint32_t events) noexcept override;
    void stop(virtio::Queue& queue) noexcept override;
    void stopped() noexcept override;
    // Buffers that wait for frames are not touched; frames stay with the host.
    bool quiesce() noexcept override { return true; }
    void resumed() noexcept override {}

    // ControlTarget
    bool set_pairs(std::uint16_t pairs) noexcept override;
    void set_mac(const MacAddress& mac) noexcept override;
    void acknowledge_announcement() noexcept override;
    void set_guest_offloads(virtio::Features bits) noexcept override;

    bool has(virtio::Features bits) const noexcept { return (features_ & bits) != 0; }
    std::uint16_t control_index() const noexcept;
    Receiver::Rules rules() const noexcept;
    void watch_channels() noexcept;
    void receive(Pair& pair) noexcept;
    Pause take_frames(Pair& pair) noexcept;
    [[nodiscard]] bool held_too_long(Pair& pair) noexcept;
    void transmit(Pair& pair) noexcept;
    void moderate(Pair& pair) noexcept;
    void watch_again(Pair& pair) noexcept;
    void unblock(Pair& pair) noexcept;
    void run_control(virtio::Queue& queue) noexcept;
    void lose(Pair& pair) noexcept;
    void refresh_link() noexcept;
    template <class Change>
    void change_as_owner(Change&& change) noexcept;

    std::unique_ptr<NetBackend> backend_;
    Options options_;
    virtio::Features offered_ = 0;
    std::vector<std::uint16_t> queue_sizes_;

    // Under the registers' lock.
    MacAddress mac_;
    bool cable_ = true;          // as set_link() wants it
    bool host_up_ = true;        // as the backend has it
    bool announcing_ = false;    // until the driver acknowledges
    bool can_announce_ = false;  // negotiated

    // The I/O thread's.
    std::deque<Pair> pairs_;
    virtio::Features features_ = 0;
    FrameOffloads given_;
    std::size_t active_ = 0;  // pairs in use
    std::span<virtio::Queue> queues_;
    bool lost_ = false;  // a channel is gone, and that was said
    std::unique_ptr<virtio::Chain> chain_;
};

}  // namespace vmm::virtio_net
