// SPDX-License-Identifier: Apache-2.0
// What the tests of the console share: one on sinks with as much room as the test gives them, and
// a driver's way with its queues. Numbers are written out here, not taken from the device's
// headers.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/fake_byte_sink.hpp"
#include "virtio_console/console.hpp"
#include "virtio_support/device_rig.hpp"

namespace vmm::test {

// Events of control messages.
inline constexpr std::uint16_t kDeviceReady = 0;
inline constexpr std::uint16_t kDeviceAdd = 1;
inline constexpr std::uint16_t kPortReady = 3;
inline constexpr std::uint16_t kConsolePort = 4;
inline constexpr std::uint16_t kResize = 5;
inline constexpr std::uint16_t kPortOpen = 6;
inline constexpr std::uint16_t kPortName = 7;

inline constexpr std::uint16_t kControlIn = 2;
inline constexpr std::uint16_t kControlOut = 3;

inline constexpr virtio::Features kMultiportBit = 2;

/// A control message as the driver sees it.
struct Message {
    std::uint32_t port = 0;
    std::uint16_t event = 0;
    std::uint16_t value = 0;
    std::string more;

    bool operator==(const Message&) const = default;
};
inline void PrintTo(const Message& message, std::ostream* to) {
    *to << "port " << message.port << " event " << message.event << " value " << message.value
        << " and '" << message.more << "'";
}

class ConsoleRig {
public:
    /// What the host sees of each port.
    std::deque<FakeByteSink> sinks;
    std::unique_ptr<virtio_console::Console> console;
    std::unique_ptr<DeviceRig> rig;

    void add_port(virtio_console::PortOptions options) {
        options.sink = &sinks.emplace_back();
        ports.push_back(std::move(options));
    }
    void make(DeviceRig::Options how = {}) {
        if (ports.empty())
            add_port({.console = true});
        console = std::move(
            virtio_console::Console::create({.name = "con0", .ports = ports, .queue_size = 16})
                .value());
        rig = std::make_unique<DeviceRig>(*console, how);
    }

    // The host.

    std::size_t type(std::string_view text, std::size_t port = 0) {
        const std::scoped_lock held{console->lock()};
        return console->port(port).receive(std::as_bytes(std::span{text}));
    }
    std::string seen(std::size_t port = 0) {
        const std::scoped_lock held{console->lock()};
        return sinks[port].seen;
    }
    unsigned resumed(std::size_t port = 0) {
        const std::scoped_lock held{console->lock()};
        return sinks[port].resumed;
    }
    void set_room(std::size_t room, std::size_t port = 0) {
        const std::scoped_lock held{console->lock()};
        sinks[port].room = room;
    }
    /// The host takes `room` bytes more, and says so.
    void make_room(std::size_t room, std::size_t port = 0) {
        const std::scoped_lock held{console->lock()};
        sinks[port].room = room;
        console->port(port).on_room();
    }

    // The driver.

    static std::uint16_t in(std::size_t port) {
        return static_cast<std::uint16_t>(port == 0 ? 0 : 2 + 2 * port);
    }
    static std::uint16_t out(std::size_t port) { return static_cast<std::uint16_t>(in(port) + 1); }

    /// Puts text into an output queue. No kick.
    std::uint16_t add_output(std::string_view text, std::size_t port = 0) {
        return rig->queue(out(port)).add(
            {{rig->put(text), static_cast<std::uint32_t>(text.size())}});
    }
    /// The same, kicked; true if it comes back, as a request to which nothing was written.
    bool print(std::string_view text, std::size_t port = 0) {
        const auto id = add_output(text, port);
        rig->kick(out(port));
        return rig->wait_used(out(port)) == UsedBuffer{id, 0};
    }
    void add_buffer(std::uint16_t queue, std::uint32_t size) {
        const Gpa at = rig->room(size);
        buffers_[{queue, rig->queue(queue).add({{at, size, true}})}] = at;
    }
    void add_input_buffers(unsigned count, std::uint32_t size, std::size_t port = 0) {
        for (unsigned i = 0; i < count; ++i)
            add_buffer(in(port), size);
        rig->kick(in(port));
    }
    /// What is in the next used buffer of a queue.
    std::optional<std::string> next_in(std::uint16_t queue) {
        const auto used = rig->wait_used(queue);
        if (!used)
            return std::nullopt;
        const auto at = buffers_.find({queue, used->id});
        return at == buffers_.end() ? std::nullopt
                                    : std::optional{rig->memory().text(at->second, used->length)};
    }
    std::optional<std::string> input(std::size_t port = 0) { return next_in(in(port)); }

    // Control messages.

    void add_control_buffers(unsigned count, std::uint32_t size = 128) {
        for (unsigned i = 0; i < count; ++i)
            add_buffer(kControlIn, size);
        rig->kick(kControlIn);
    }
    /// Sends any bytes and waits until the device has taken them.
    bool tell_bytes(std::string_view bytes) {
        rig->queue(kControlOut).add({{rig->put(bytes), static_cast<std::uint32_t>(bytes.size())}});
        rig->kick(kControlOut);
        return rig->wait_used(kControlOut).has_value();
    }
    bool tell(std::uint32_t port, std::uint16_t event, std::uint16_t value) {
        const std::array<std::uint16_t, 4> words{
            static_cast<std::uint16_t>(port), static_cast<std::uint16_t>(port >> 16), event, value};
        return tell_bytes({reinterpret_cast<const char*>(words.data()), 8});
    }
    Message heard() {
        const auto bytes = next_in(kControlIn);
        if (!bytes || bytes->size() < 8)
            return {.port = ~0u, .more = bytes ? "too short" : "nothing"};
        Message message;
        std::memcpy(&message.port, bytes->data(), 4);
        std::memcpy(&message.event, bytes->data() + 4, 2);
        std::memcpy(&message.value, bytes->data() + 6, 2);
        message.more = bytes->substr(8);
        return message;
    }
    /// Nothing more to hear, now that the device has seen all that was sent to it.
    bool silent() { return tell(0xffffffff, kDeviceAdd, 0) && !rig->queue(kControlIn).collect(); }

private:
    std::vector<virtio_console::PortOptions> ports;
    std::map<std::pair<std::uint16_t, std::uint16_t>, Gpa> buffers_;
};

class ConsoleTest : public testing::TestWithParam<RingKind>, public ConsoleRig {
protected:
    void start(DeviceRig::Options how = {}) {
        how.kind = GetParam();
        make(how);
        ASSERT_TRUE(rig->start());
    }
};

/// A console without a name and a port with one: two ports for a driver with MULTIPORT.
class PortsTest : public ConsoleTest {
protected:
    void start_two(DeviceRig::Options how = {}) {
        add_port({.console = true});
        add_port({.name = "org.example.agent"});
        start(how);
    }
    /// Past the talk: both ports open, all that was said is heard.
    void start_open() {
        start_two();
        add_control_buffers(16);
        ASSERT_TRUE(tell(0, kDeviceReady, 1));
        for (std::uint32_t port = 0; port < 2; ++port) {
            ASSERT_TRUE(tell(port, kPortReady, 1));
            ASSERT_TRUE(tell(port, kPortOpen, 1));
        }
        for (int messages = 0; messages < 6; ++messages)
            (void)heard();
    }
};

inline std::string ring_name(const testing::TestParamInfo<RingKind>& of) {
    return of.param == RingKind::Split ? "Split" : "Packed";
}

}  // namespace vmm::test
