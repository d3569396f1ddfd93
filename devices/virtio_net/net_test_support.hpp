// SPDX-License-Identifier: Apache-2.0
// What the tests of the device share: the device on a fake host's side, and its driver.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "virtio_net/net.hpp"
#include "virtio_support/device_rig.hpp"
#include "virtio_support/fake_net_backend.hpp"

namespace vmm::virtio_net {

using test::Buffer;
using test::DeviceRig;
using test::FakeNetBackend;
using test::Frame;
using test::RingKind;
using test::UsedBuffer;

inline constexpr MacAddress kMac{0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
inline constexpr std::uint16_t kRx = 0;
inline constexpr std::uint16_t kTx = 1;

inline std::unique_ptr<Net> make_net(std::unique_ptr<FakeNetBackend> host, Options options = {}) {
    options.mac = kMac;
    return std::move(Net::create(std::move(host), std::move(options)).value());
}

/// A device with its driver and the other end of its cable.
struct Bench {
    explicit Bench(DeviceRig::Options options, std::size_t pairs = 1, Options device = {})
        : Bench{std::make_unique<FakeNetBackend>(pairs), options, std::move(device)} {}
    Bench(std::unique_ptr<FakeNetBackend> backend, DeviceRig::Options options, Options device)
        : host{*backend},
          net{make_net(std::move(backend), std::move(device))},
          rig{*net, options} {}

    test::Wire& wire(std::size_t index = 0) { return host.wire(index); }

    /// A receive buffer; gives where it is.
    Gpa give_room(std::uint32_t bytes, std::uint16_t queue = kRx) {
        const Gpa at = rig.room(bytes);
        rig.queue(queue).add({{at, bytes, true}});
        return at;
    }
    /// Header and frame in one descriptor.
    std::uint16_t send(std::string_view frame, FrameHeader header = {}, std::uint16_t queue = kTx) {
        std::string bytes(sizeof header, '\0');
        std::memcpy(bytes.data(), &header, sizeof header);
        bytes += frame;
        const auto length = static_cast<std::uint32_t>(bytes.size());
        const auto id = rig.queue(queue).add({{rig.put(bytes), length}});
        rig.kick(queue);
        return id;
    }
    FrameHeader header_at(Gpa at) {
        FrameHeader header;
        std::memcpy(&header, rig.memory().host(at, sizeof header), sizeof header);
        return header;
    }
    /// The acknowledgement of a control command; 0xff if it is not answered.
    int command(std::string_view bytes, std::uint16_t queue) {
        const Gpa ack = rig.room(1);
        *rig.memory().host(ack) = std::byte{0xee};
        rig.queue(queue).add(
            {{rig.put(bytes), static_cast<std::uint32_t>(bytes.size())}, {ack, 1, true}});
        rig.kick(queue);
        const auto used = rig.wait_used(queue);
        return used && used->length == 1 ? std::to_integer<int>(*rig.memory().host(ack)) : 0xff;
    }

    FakeNetBackend& host;
    std::unique_ptr<Net> net;
    DeviceRig rig;
};

/// Buffers for received frames that go back to the device once they were looked at.
class ReceiveBuffers {
public:
    ReceiveBuffers(Bench& bench, std::uint32_t count, std::uint32_t bytes)
        : bench_{bench}, bytes_{bytes}, by_id_(0x10000) {
        const Gpa room = bench_.rig.room(std::size_t{count} * bytes);
        for (std::uint64_t i = 0; i < count; ++i)
            give(Gpa{room.value() + i * bytes});
        bench_.rig.kick(kRx);
    }
    /// The next frame, without its header; none after a while.
    std::optional<std::string> take() {
        const auto used = bench_.rig.wait_used(kRx);
        if (!used)
            return std::nullopt;
        const Gpa at = by_id_[used->id];
        auto frame = bench_.rig.memory().text(Gpa{at.value() + FrameHeader::kSize},
                                              used->length - FrameHeader::kSize);
        give(at);
        bench_.rig.kick_if_wanted(kRx);
        return frame;
    }

private:
    void give(Gpa at) { by_id_[bench_.rig.queue(kRx).add({{at, bytes_, true}})] = at; }

    Bench& bench_;
    std::uint32_t bytes_;
    std::vector<Gpa> by_id_;
};

/// A frame of `size` bytes that differs from those of another seed.
inline std::string frame_of(std::size_t size, unsigned seed = 0) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<char>(i * 31 + seed * 7 + (i >> 8));
    return bytes;
}

}  // namespace vmm::virtio_net
