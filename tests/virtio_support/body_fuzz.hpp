// SPDX-License-Identifier: Apache-2.0
// A whole device body under arbitrary turns of its driver and its worker, without a thread: what
// comes first, a kick, a command, a completion or the host's hang-up, is the input's choice.
//
//     BodyFuzz fuzz{device, stepper, input, [&](test::FuzzInput& input) { ... the host's side ...
//     }}; while (fuzz.turn()) {} fuzz.finish();
//
// What must hold: nothing is used after a reset (Link aborts), no access outside of RAM, and after
// all of it a reset ends and a driver that keeps to the rules can start.
#pragma once

#include <array>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <utility>

#include "support/fuzz_input.hpp"
#include "virtio/stepper.hpp"
#include "virtio_support/device_rig.hpp"
#include "vmm/log.hpp"

namespace vmm::test {

class BodyFuzz {
public:
    using Host = std::function<void(FuzzInput&)>;

    /// `options` has the kind of ring and EVENT_IDX.
    BodyFuzz(virtio::Device& device, virtio::Stepper& stepper, FuzzInput& input, Host host)
        : stepper_{stepper},
          input_{input},
          host_{std::move(host)},
          rig_{device, rig_options(input)} {
        static const bool quiet = log::configure({.level = log::Level::Off}).has_value();
        check(quiet);
        begin();
    }

    /// Called before the worker is told to give up queues.
    std::function<void()> before_command = [] {};

    /// False: the input is at its end.
    bool turn() {
        if (input_.empty())
            return false;
        const auto what = input_.take<std::uint8_t>();
        const unsigned number = what >> 4;
        switch (what % 16) {
            case 0:
            case 1:
            case 2:
                offer(queue_of(number));
                break;
            case 3:
            case 4:
                rig_.kick(queue_of(number));
                break;
            case 5:
            case 6:
                stepper_.fetch();
                break;
            case 7:
            case 8:
                if (stepper_.fetched() > 0)
                    stepper_.dispatch(number % stepper_.fetched());
                break;
            case 9:
                pause_or_call(number);
                break;
            case 10:
                stepper_.run(number + 1);
                break;
            case 11:
                reset();
                break;
            case 12:
                if (!begun_)
                    begin();
                break;
            case 13:
                scribble(queue_of(number));
                break;
            case 14:
                reset_queue(queue_of(number));
                break;
            default:
                host_(input_);
                break;
        }
        return true;
    }

    /// Whatever happened, the driver can begin again.
    void finish() {
        rig_.resume();
        reset();
        check(stepper_.run(kMostSteps) && rig_.status() == 0);
        check(rig_.start() && stepper_.run(kMostSteps));
        reset();
        check(stepper_.run(kMostSteps));
    }

    DeviceRig& rig() { return rig_; }

    static void check(bool holds) {
        if (!holds)
            std::abort();
    }

private:
    static constexpr std::size_t kMostSteps = 10'000;
    static constexpr std::uint64_t kRam = 2 << 20;
    static constexpr unsigned kMostStarts = 30;
    static constexpr std::uint64_t kData = 0x1000;  // up to the rig's first room
    static constexpr std::uint64_t kDataBytes = 0xe000;

    static DeviceRig::Options rig_options(FuzzInput& input) {
        const auto bits = input.take<std::uint8_t>();
        return {.kind = (bits & 1) != 0 ? RingKind::Packed : RingKind::Split,
                .size = 8,
                .event_idx = (bits & 2) != 0,
                .in_order = (bits & 4) != 0,
                .ram = kRam};
    }

    std::uint16_t queue_of(unsigned number) {
        return static_cast<std::uint16_t>(number % rig_.registers().num_queues());
    }

    // The driver comes, whether or not the last one's reset is at its end.
    void begin() {
        if (starts_++ == kMostStarts)
            return;
        begun_ = rig_.start();
        check(begun_);
        room_.fill(kRing);
    }
    void reset() {
        before_command();
        rig_.write_status(0);
        begun_ = false;
    }
    void pause_or_call(unsigned number) {
        if (number % 4 == 0)
            rig_.registers().ask_pause();
        else if (number % 4 == 1)
            rig_.resume();
        else
            stepper_.make_calls();
    }
    void reset_queue(std::uint16_t index) {
        if (!begun_)
            return;
        before_command();
        virtio::Registers& registers = rig_.registers();
        const auto access = [&](auto&& what) {
            const std::scoped_lock held{rig_.transport().mutex};
            registers.settle();
            registers.set_queue_select(index);
            return what();
        };
        if (access([&] { return registers.queue_enable(); }))
            access([&] { registers.set_queue_reset(1); });
        else if (starts_ < kMostStarts && ++starts_ > 0)
            rig_.set_up_queue(index);
        room_.at(index % room_.size()) = 0;
    }

    void offer(std::uint16_t index) {
        unsigned& room = room_.at(index % room_.size());
        const unsigned segments = 1 + input_.take<std::uint8_t>() % 3u;
        if (!begun_ || room < segments)
            return;
        room -= segments;
        std::array<Buffer, 3> chain{};
        for (unsigned i = 0; i < segments; ++i) {
            const auto flags = input_.take<std::uint8_t>();
            chain[i].at = (flags & 0x80) != 0
                              ? Gpa{input_.take<std::uint64_t>()}
                              : Gpa{kData + input_.take<std::uint16_t>() % kDataBytes};
            chain[i].length = (flags & 0x40) != 0 ? input_.take<std::uint32_t>()
                                                  : input_.take<std::uint8_t>() * (1u + flags % 8);
            chain[i].writable = (flags & 0x20) != 0;
            const auto bytes = input_.take_bytes((flags & 0x10) != 0 ? 24 : 0);
            if ((flags & 0x80) == 0 && !bytes.empty())
                std::memcpy(rig_.memory().host(chain[i].at, bytes.size()), bytes.data(),
                            bytes.size());
        }
        rig_.queue(index).add(std::span<const Buffer>{chain}.first(segments));
    }

    void scribble(std::uint16_t index) {
        if (!begun_)
            return;
        const Gpa ring = rig_.queue(index).descriptors();
        const auto at = input_.take<std::uint16_t>() % 0x180u;
        const auto bytes = input_.take_bytes(16);
        if (!bytes.empty())
            std::memcpy(rig_.memory().host(Gpa{ring.value() + at}, bytes.size()), bytes.data(),
                        bytes.size());
        room_.at(index % room_.size()) = 0;  // the driver's own ideas no longer hold
    }

    static constexpr unsigned kRing = 8;

    virtio::Stepper& stepper_;
    FuzzInput& input_;
    Host host_;
    DeviceRig rig_;
    bool begun_ = false;
    unsigned starts_ = 0;
    std::array<unsigned, 8> room_{};  // by queue: descriptors that were not used yet
};

}  // namespace vmm::test
