// SPDX-License-Identifier: Apache-2.0
// The driver's half of a virtqueue, for tests of devices: adds chains, reads what was used, and
// breaks rules when asked to.
//
// Spec: virtio 1.3, 2.7 (split) and 2.8 (packed), driver's side. Written without the device's
// headers, so that a wrong offset there does not agree with a wrong offset here.
// Threads: one; the device may run on another.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <vector>

#include "support/flat_guest_memory.hpp"
#include "vmm/gpa.hpp"
#include "vmm/guest_memory.hpp"

namespace vmm::test {

/// A piece of a chain. Readable means by the device.
struct Buffer {
    Gpa at;
    std::uint32_t length = 0;
    bool writable = false;
};

struct UsedBuffer {
    std::uint16_t id = 0;
    std::uint32_t length = 0;
    friend bool operator==(const UsedBuffer&, const UsedBuffer&) = default;
};

enum class RingKind : std::uint8_t { Split, Packed };

class VirtQueueDriver {
public:
    struct Options {
        RingKind kind = RingKind::Split;
        std::uint16_t size = 8;
        bool event_idx = false;
        /// The middle of each part is where a page ends; those of 4 bytes begin a page.
        bool across_pages = false;
    };

    /// Takes bytes_needed() of zeroed RAM from `at`, a multiple of 4096.
    VirtQueueDriver(FlatGuestMemory& memory, Gpa at, Options options)
        : memory_{memory}, options_{options}, base_{at}, lengths_(0x10000), in_use_(options.size) {
        if (options.across_pages) {
            const std::uint64_t half = options.size / 2;
            descriptors_ = Gpa{at.value() + kPage - 16 * half};
            driver_ = Gpa{at.value() + 2 * kPage - (split() ? 4 + 2 * half : 0)};
            device_ = Gpa{at.value() + 3 * kPage - (split() ? 4 + 8 * half : 0)};
        } else {
            descriptors_ = at;
            driver_ = Gpa{at.value() + 16u * options.size};
            device_ = split()
                          ? Gpa{(driver_.value() + 6 + 2u * options.size + 3) & ~std::uint64_t{3}}
                          : Gpa{driver_.value() + 4};
        }
        all_ = memory.view(at, bytes_needed(options));
        if (!all_)
            std::abort();
    }

    static std::uint64_t bytes_needed(Options options) {
        if (options.across_pages)
            return 4 * kPage;
        const std::uint64_t raw =
            16u * options.size + 6 + 2u * options.size + 3 + 6 + 8u * options.size;
        return (raw + 4095) & ~std::uint64_t{4095};
    }

    // What goes into the queue's registers.
    Gpa descriptors() const { return descriptors_; }
    Gpa driver() const { return driver_; }
    Gpa device() const { return device_; }
    std::uint16_t size() const { return options_.size; }
    RingKind kind() const { return options_.kind; }

    // The rules kept.

    /// Makes a chain available; gives the id it will come back under. The test keeps to the size.
    std::uint16_t add(std::span<const Buffer> chain) {
        return split() ? add_split(chain) : add_packed(chain);
    }
    std::uint16_t add(std::initializer_list<Buffer> chain) {
        return add(std::span<const Buffer>{chain.begin(), chain.size()});
    }

    /// The same through a table of descriptors at `table`.
    std::uint16_t add_indirect(std::span<const Buffer> chain, Gpa table) {
        GuestView view = memory_.view(table, 16 * chain.size());
        for (std::size_t i = 0; i < chain.size(); ++i) {
            const bool more = i + 1 < chain.size();
            const auto write = static_cast<std::uint16_t>(chain[i].writable ? kWrite : 0);
            view.store<std::uint64_t>(16 * i, chain[i].at.value());
            view.store<std::uint32_t>(16 * i + 8, chain[i].length);
            if (split()) {
                view.store<std::uint16_t>(16 * i + 12,
                                          static_cast<std::uint16_t>(write | (more ? kNext : 0)));
                view.store<std::uint16_t>(16 * i + 14, static_cast<std::uint16_t>(i + 1));
            } else {
                view.store<std::uint16_t>(16 * i + 12, 0);
                view.store<std::uint16_t>(16 * i + 14, write);
            }
        }
        return add_table(table, static_cast<std::uint32_t>(16 * chain.size()));
    }
    std::uint16_t add_indirect(std::initializer_list<Buffer> chain, Gpa table) {
        return add_indirect(std::span<const Buffer>{chain.begin(), chain.size()}, table);
    }
    /// One descriptor that points to a table the test has written itself (or not).
    std::uint16_t add_table(Gpa table, std::uint32_t length) {
        const Buffer whole{.at = table, .length = length};
        next_flags_ = kIndirect;
        const std::uint16_t id = add(std::span{&whole, 1});
        next_flags_ = 0;
        return id;
    }

    /// The next chain the device gave back.
    std::optional<UsedBuffer> collect() { return split() ? collect_split() : collect_packed(); }

    /// Whether the device wants a kick for what was added since the last call.
    bool kick_wanted() {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        return split() ? split_kick_wanted() : packed_kick_wanted();
    }

    /// Interrupts at all (without EVENT_IDX), or never.
    void want_interrupts(bool want) {
        if (split())
            all_.store<std::uint16_t>(avail(0), want ? 0 : 1);
        else
            all_.store<std::uint16_t>(event(driver_, 2), want ? 0 : 1);
    }
    /// An interrupt when the device uses the buffer `ahead` places after the next one (EVENT_IDX).
    void want_interrupt_after(std::uint16_t ahead) {
        if (split()) {
            all_.store<std::uint16_t>(avail(4 + 2u * options_.size),
                                      static_cast<std::uint16_t>(used_seen_ + ahead));
            return;
        }
        unsigned at = used_at_ + unsigned{ahead};
        bool wrap = used_wrap_;
        if (at >= options_.size) {
            at -= options_.size;
            wrap = !wrap;
        }
        all_.store<std::uint16_t>(event(driver_, 0),
                                  static_cast<std::uint16_t>(at | (wrap ? 0x8000u : 0u)));
        all_.store<std::uint16_t>(event(driver_, 2), 2, std::memory_order_release);
    }

    // The rules broken.

    struct RawDescriptor {
        std::uint64_t at = 0;
        std::uint32_t length = 0;
        std::uint16_t flags = 0;
        std::uint16_t next_or_id = 0;
    };
    static constexpr std::uint16_t kNext = 1;
    static constexpr std::uint16_t kWrite = 2;
    static constexpr std::uint16_t kIndirect = 4;
    static constexpr std::uint16_t kAvail = 1u << 7;
    static constexpr std::uint16_t kUsed = 1u << 15;

    /// Writes a descriptor as it stands; nothing becomes available by that in a split ring.
    void poke_descriptor(std::uint16_t index, RawDescriptor raw) {
        const std::size_t at = place(index);
        all_.store<std::uint64_t>(at, raw.at);
        all_.store<std::uint32_t>(at + 8, raw.length);
        if (split()) {
            all_.store<std::uint16_t>(at + 12, raw.flags);
            all_.store<std::uint16_t>(at + 14, raw.next_or_id);
        } else {
            all_.store<std::uint16_t>(at + 12, raw.next_or_id);
            all_.store<std::uint16_t>(at + 14, raw.flags, std::memory_order_release);
        }
    }
    /// Split: puts any head into the avail ring and moves the index on.
    void offer_head(std::uint16_t head) {
        all_.store<std::uint16_t>(avail(4 + 2u * (avail_idx_ % options_.size)), head);
        ++avail_idx_;
        all_.store<std::uint16_t>(avail(2), avail_idx_, std::memory_order_release);
    }
    /// Split: moves the avail index anywhere.
    void poke_avail_index(std::uint16_t to) {
        avail_idx_ = to;
        all_.store<std::uint16_t>(avail(2), to, std::memory_order_release);
    }
    /// Packed: the flags that make a descriptor at the driver's place available now.
    std::uint16_t available_flags() const { return avail_wrap_ ? kAvail : kUsed; }
    std::uint16_t next_place() const { return avail_at_; }
    /// Packed: a chain that goes on through every place. Written from its end, as a driver has to:
    /// the device may be looking.
    void offer_endless_chain(std::uint16_t write = 0) {
        const auto flags = static_cast<std::uint16_t>(available_flags() | kNext | write);
        for (unsigned i = options_.size; i-- > 0;)
            poke_descriptor(static_cast<std::uint16_t>((avail_at_ + i) % options_.size),
                            {.at = base_.value(), .length = 1, .flags = flags, .next_or_id = 0});
    }
    /// Packed: tells this driver that the test made `count` places available by hand.
    void skip_places(std::uint16_t count) { advance(avail_at_, avail_wrap_, count); }

    /// Any byte of the rings, from the address that they were given on.
    GuestView& raw() { return all_; }

private:
    static constexpr std::uint64_t kPage = 4096;

    std::size_t place(std::uint16_t index) const { return (descriptors_ - base_) + 16u * index; }
    bool split() const { return options_.kind == RingKind::Split; }
    std::size_t avail(std::size_t offset) const { return (driver_ - base_) + offset; }
    std::size_t used(std::size_t offset) const { return (device_ - base_) + offset; }
    std::size_t event(Gpa area, std::size_t offset) const { return (area - base_) + offset; }

    void advance(std::uint16_t& at, bool& wrap, std::uint16_t by) const {
        const unsigned next = at + unsigned{by};
        at = static_cast<std::uint16_t>(next % options_.size);
        if (next >= options_.size)
            wrap = !wrap;
    }

    std::uint16_t take_descriptor() {
        for (std::uint16_t i = 0; i < options_.size; ++i) {
            if (!in_use_[i]) {
                in_use_[i] = true;
                return i;
            }
        }
        std::abort();  // the test added more than fits
    }

    std::uint16_t add_split(std::span<const Buffer> chain) {
        std::vector<std::uint16_t> places(chain.size());
        for (auto& place : places)
            place = take_descriptor();
        for (std::size_t i = 0; i < chain.size(); ++i) {
            const bool more = i + 1 < chain.size();
            poke_descriptor(
                places[i],
                {.at = chain[i].at.value(),
                 .length = chain[i].length,
                 .flags = static_cast<std::uint16_t>(
                     (more ? kNext : 0) | (chain[i].writable ? kWrite : 0) | next_flags_),
                 .next_or_id = more ? places[i + 1] : std::uint16_t{0xffff}});
        }
        chains_[places[0]] = places;
        offer_head(places[0]);
        return places[0];
    }

    std::uint16_t add_packed(std::span<const Buffer> chain) {
        const std::uint16_t id = take_descriptor();
        lengths_[id] = static_cast<std::uint16_t>(chain.size());
        const std::uint16_t first = avail_at_;
        RawDescriptor first_raw;
        for (std::size_t i = 0; i < chain.size(); ++i) {
            const bool more = i + 1 < chain.size();
            const RawDescriptor raw{.at = chain[i].at.value(),
                                    .length = chain[i].length,
                                    .flags = static_cast<std::uint16_t>(
                                        (more ? kNext : 0) | (chain[i].writable ? kWrite : 0) |
                                        next_flags_ | available_flags()),
                                    .next_or_id = id};
            // The first one last: it makes the chain visible as a whole.
            if (i == 0)
                first_raw = raw;
            else
                poke_descriptor(avail_at_, raw);
            advance(avail_at_, avail_wrap_, 1);
        }
        poke_descriptor(first, first_raw);
        return id;
    }

    std::optional<UsedBuffer> collect_split() {
        const auto index = all_.load<std::uint16_t>(used(2), std::memory_order_acquire);
        if (index == used_seen_)
            return std::nullopt;
        const std::size_t at = used(4 + 8u * (used_seen_ % options_.size));
        ++used_seen_;
        const UsedBuffer result{.id = static_cast<std::uint16_t>(all_.load<std::uint32_t>(at)),
                                .length = all_.load<std::uint32_t>(at + 4)};
        if (result.id < options_.size) {
            for (const std::uint16_t place : chains_[result.id])
                in_use_[place] = false;
            chains_[result.id].clear();
        }
        return result;
    }

    std::optional<UsedBuffer> collect_packed() {
        const std::size_t at = place(used_at_);
        const auto flags = all_.load<std::uint16_t>(at + 14, std::memory_order_acquire);
        if (((flags & kAvail) != 0) != used_wrap_ || ((flags & kUsed) != 0) != used_wrap_)
            return std::nullopt;
        const UsedBuffer result{.id = all_.load<std::uint16_t>(at + 12),
                                .length = all_.load<std::uint32_t>(at + 8)};
        const std::uint16_t count =
            lengths_[result.id] == 0 ? std::uint16_t{1} : lengths_[result.id];
        if (result.id < options_.size)
            in_use_[result.id] = false;
        advance(used_at_, used_wrap_, count);
        return result;
    }

    bool split_kick_wanted() {
        const std::uint16_t from = kicked_idx_;
        kicked_idx_ = avail_idx_;
        if (!options_.event_idx)
            return (all_.load<std::uint16_t>(used(0)) & 1) == 0;
        const auto event_at = all_.load<std::uint16_t>(used(4 + 8u * options_.size));
        return static_cast<std::uint16_t>(avail_idx_ - event_at - 1) <
               static_cast<std::uint16_t>(avail_idx_ - from);
    }

    bool packed_kick_wanted() {
        const auto flags =
            all_.load<std::uint16_t>(event(device_, 2), std::memory_order_acquire) & 3;
        const std::uint16_t from = kicked_at_;
        const bool from_wrap = kicked_wrap_;
        kicked_at_ = avail_at_;
        kicked_wrap_ = avail_wrap_;
        if (flags != 2)
            return flags == 0;
        const auto wish = all_.load<std::uint16_t>(event(device_, 0));
        const auto lap = [&](unsigned at, bool wrap) {
            return static_cast<std::uint16_t>(wrap == avail_wrap_ ? at : at - options_.size);
        };
        const std::uint16_t event_at = lap(wish & 0x7fffu, (wish & 0x8000u) != 0);
        return static_cast<std::uint16_t>(avail_at_ - event_at - 1) <
               static_cast<std::uint16_t>(avail_at_ - lap(from, from_wrap));
    }

    FlatGuestMemory& memory_;
    Options options_;
    Gpa base_;
    Gpa descriptors_;
    Gpa driver_;
    Gpa device_;
    GuestView all_;
    std::uint16_t next_flags_ = 0;
    std::uint16_t avail_idx_ = 0;   // split
    std::uint16_t kicked_idx_ = 0;  // split
    std::uint16_t used_seen_ = 0;   // split
    std::uint16_t avail_at_ = 0;    // packed, with the laps below
    std::uint16_t used_at_ = 0;
    std::uint16_t kicked_at_ = 0;
    bool avail_wrap_ = true;
    bool used_wrap_ = true;
    bool kicked_wrap_ = true;
    std::vector<std::uint16_t> lengths_;  // packed: descriptors of the chain by id
    std::vector<bool> in_use_;            // descriptors (split) or ids (packed)
    std::vector<std::uint16_t> chains_[0x400];
};

}  // namespace vmm::test
