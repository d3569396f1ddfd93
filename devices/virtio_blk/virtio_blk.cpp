// SPDX-License-Identifier: Apache-2.0
#include "virtio_blk/virtio_blk.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "vmm/assert.hpp"
#include "vmm/log.hpp"
#include "vmm/text.hpp"

namespace vmm::virtio_blk {
namespace {

constexpr std::uint32_t kCompletions = 0;  // source of the worker
/// Requests taken before they are started: what comes first is under way while the rest is read.
constexpr unsigned kBatch = 32;
/// The same in bytes: a backend may move that much before commit() comes back, and meanwhile nobody
/// looks at commands.
constexpr std::uint64_t kBatchBytes = 4 << 20;
/// No more is taken while so many bytes are to be moved: enough for any disk, and for a reset to
/// wait for. With one request of the largest size on top.
constexpr std::uint64_t kMaxBytesUnderWay = 32 << 20;
/// Taking goes on when they are so few, in order not to start requests one by one.
constexpr std::uint64_t kResumeBytes = 24 << 20;
constexpr unsigned kTurns = 64;  // batches in a row, where there are other queues

/// Spec: 5.2.4, up to the fields of WRITE_ZEROES.
struct Config {
    std::uint64_t capacity;  // sectors
    std::uint32_t size_max;
    std::uint32_t seg_max;
    std::uint32_t geometry;
    std::uint32_t blk_size;
    std::uint8_t physical_block_exp;
    std::uint8_t alignment_offset;
    std::uint16_t min_io_size;
    std::uint32_t opt_io_size;
    std::uint8_t writeback;
    std::uint8_t unused0;
    std::uint16_t num_queues;
    std::uint32_t max_discard_sectors;
    std::uint32_t max_discard_seg;
    std::uint32_t discard_sector_alignment;
    std::uint32_t max_write_zeroes_sectors;
    std::uint32_t max_write_zeroes_seg;
    std::uint8_t write_zeroes_may_unmap;
    std::array<std::uint8_t, 3> unused1;
    std::uint32_t padding;  // of this struct; not shown
};
static_assert(offsetof(Config, blk_size) == 20);
static_assert(offsetof(Config, writeback) == 32);
static_assert(offsetof(Config, max_discard_sectors) == 36);
static_assert(offsetof(Config, write_zeroes_may_unmap) == 56);
constexpr std::uint32_t kConfigSize = 60;

std::string_view name_of(BlockRequest::Kind kind) {
    switch (kind) {
        case BlockRequest::Kind::Read:
            return "read";
        case BlockRequest::Kind::Write:
            return "write";
        case BlockRequest::Kind::Flush:
            return "flush";
        case BlockRequest::Kind::Discard:
            return "discard";
        case BlockRequest::Kind::WriteZeroes:
            return "write of zeroes";
    }
    return "request";
}

/// Data segments a request may have: with header and status it fits into the ring.
std::uint32_t max_segments(std::uint32_t queue_size) {
    return std::clamp<std::uint32_t>(queue_size - std::min(queue_size, 2u), 1, kMaxSegments);
}

/// Sectors of whole blocks.
std::uint64_t whole_sectors(std::uint64_t bytes, std::uint32_t block) {
    return bytes / block * (block / kSector);
}

Result<> check(const BlkOptions& options) {
    const auto bad = [&](const std::string& what, std::string hint) {
        return std::unexpected(
            Error{ErrorKind::Config, cat(options.name, ": ", what)}.hint(std::move(hint)));
    };
    if (options.queues == 0 || options.queues > kMaxQueues)
        return bad(cat("num_queues=", options.queues, " is out of range"),
                   cat("Choose 1 to ", kMaxQueues, " queues."));
    if (options.queue_size < 2 || options.queue_size > virtio::Queue::kMaxSize ||
        !std::has_single_bit(options.queue_size))
        return bad(cat("queue_size=", options.queue_size, " is not possible"),
                   cat("Choose a power of two from 2 to ", virtio::Queue::kMaxSize, "."));
    if (options.queues * options.queue_size > kMaxOutstanding)
        return bad(cat("num_queues=", options.queues, " with queue_size=", options.queue_size,
                       " are too many requests at a time"),
                   cat("Their product is at most ", kMaxOutstanding, "."));
    if (options.serial.size() > kIdBytes)
        return bad(cat("serial=", options.serial, " is too long"),
                   cat("A serial number has at most ", kIdBytes, " bytes."));
    return {};
}

}  // namespace

/// One request that is under way.
struct Blk::Slot : BlockRequest {
    Slot* next_free = nullptr;
    Lane* lane = nullptr;
    std::span<iovec> pieces;
    virtio::Head head;
    Reply reply;
    std::uint32_t read_bytes = 0;
    std::uint64_t bytes = 0;  ///< that are moved
};

/// The requests of one queue.
class Blk::Lane {
public:
    explicit Lane(std::uint16_t size)
        : size_{size},
          slots_{std::make_unique<Slot[]>(size)},
          // Not initialised: pages that no request uses cost nothing.
          pieces_{std::make_unique_for_overwrite<iovec[]>(std::size_t{size} * pieces_each(size))} {
        const std::size_t each = pieces_each(size);
        for (std::size_t i = size; i-- > 0;) {
            Slot& slot = slots_[i];
            slot.pieces = {pieces_.get() + i * each, each};
            slot.next_free = std::exchange(free_, &slot);
        }
    }

    virtio::Queue* queue = nullptr;  ///< while it is ours
    unsigned under_way = 0;
    bool stale = false;  ///< completed since publish()
    bool held = false;   ///< there may be chains that had to stay in the ring

    /// There is one for each request that a queue can have in flight.
    Slot& take() noexcept {
        VMM_ASSERT(free_ != nullptr);
        Slot& slot = *std::exchange(free_, free_->next_free);
        slot.lane = this;
        return slot;
    }
    void put_back(Slot& slot) noexcept {
        slot.lane = nullptr;
        slot.next_free = std::exchange(free_, &slot);
    }
    /// Those that are taken.
    template <class Use>
    void for_each(Use&& use) noexcept {
        for (Slot& slot : std::span{slots_.get(), size_})
            if (slot.lane != nullptr)
                use(slot);
    }

private:
    /// A segment may lie in two regions of RAM; more than that is not worth room.
    static std::size_t pieces_each(std::uint16_t size) { return max_segments(size) + 2; }

    std::size_t size_;
    std::unique_ptr<Slot[]> slots_;
    std::unique_ptr<iovec[]> pieces_;
    Slot* free_ = nullptr;
};

Result<std::unique_ptr<Blk>> Blk::create(BlkOptions options,
                                         std::unique_ptr<BlockBackend> backend) {
    VMM_TRY(check(options));
    std::unique_ptr<Blk> made{new Blk{std::move(options), std::move(backend)}};
    const BlkOptions& o = made->options_;
    made->io_ = VMM_TRY_OR(made->backend_->make_queue(o.queues * o.queue_size), o.name);
    VMM_TRY_OR(made->make_worker(ThreadKind::BlockIo, cat("io-", o.name), o.stepper), o.name);
    VMM_TRY_OR(made->worker().watch(made->io_->completion_fd(), EPOLLIN | EPOLLET, kCompletions),
               o.name);
    return made;
}

Blk::Blk(BlkOptions options, std::unique_ptr<BlockBackend> backend)
    : options_{std::move(options)},
      backend_{std::move(backend)},
      sizes_(options_.queues, static_cast<std::uint16_t>(options_.queue_size)),
      bytes_{backend_->info().size},
      sectors_{whole_sectors(backend_->info().size, backend_->info().logical_block)},
      chain_{std::make_unique_for_overwrite<virtio::Chain>()} {
    lanes_.reserve(sizes_.size());
    for (const std::uint16_t size : sizes_)
        lanes_.emplace_back(size);
}

Blk::~Blk() {
    end_worker();
}

Result<> Blk::resized() {
    const auto bytes = VMM_TRY_OR(backend_->current_size(), options_.name);
    if (std::exchange(bytes_, bytes) == bytes)
        return {};
    const BlockInfo& info = backend_->info();
    const std::uint64_t before = sectors_;
    const std::uint64_t sectors = whole_sectors(bytes, info.logical_block);
    if (sectors != before)
        log::info(options_.name, " (", info.name, "): ", sectors * kSector, " bytes, was ",
                  before * kSector);
    if (bytes % info.logical_block != 0)
        log::warn(options_.name, " (", info.name, "): the last ", bytes % info.logical_block,
                  " bytes are less than a block; the guest does not see them");
    if (sectors == before)
        return {};
    // Under the register side's lock, so that a driver never reads half of it.
    const auto change = [&] { sectors_ = sectors; };
    if (link() != nullptr)
        link()->update_config_as_owner(change);
    else
        change();
    return {};
}

// The register side.

virtio::Features Blk::features() const noexcept {
    const BlockInfo& info = backend_->info();
    virtio::Features offer =
        f::kSizeMax | f::kSegMax | f::kBlkSize | f::kTopology | f::kFlush | f::kConfigWce;
    if (options_.queues > 1)
        offer |= f::kMultiQueue;
    if (info.readonly)
        return offer | f::kReadOnly;
    if (info.can_discard)
        offer |= f::kDiscard;
    return offer | f::kWriteZeroes;
}

std::uint32_t Blk::config_size() const noexcept {
    return kConfigSize;
}

void Blk::read_config(std::uint32_t offset, std::span<std::byte> to) noexcept {
    const BlockInfo& info = backend_->info();
    const auto exponent = std::countr_zero(info.physical_block / info.logical_block);
    Config config{};
    config.capacity = sectors_;
    config.size_max = kMaxSegmentBytes;
    config.seg_max = max_segments(options_.queue_size);
    config.blk_size = info.logical_block;
    config.physical_block_exp = static_cast<std::uint8_t>(exponent);
    config.min_io_size = static_cast<std::uint16_t>(1u << exponent);
    config.writeback = write_back_ ? 1 : 0;
    config.num_queues = static_cast<std::uint16_t>(options_.queues);
    config.max_write_zeroes_sectors = info.readonly ? 0 : kMaxZeroSectors;
    config.max_write_zeroes_seg = info.readonly ? 0 : 1;
    config.write_zeroes_may_unmap = info.can_unmap_zeroes ? 1 : 0;
    if (info.can_discard) {
        config.max_discard_sectors = kMaxDiscardSectors;
        config.max_discard_seg = 1;
        config.discard_sector_alignment = static_cast<std::uint32_t>(info.discard_block / kSector);
    }
    std::memcpy(to.data(), std::as_bytes(std::span{&config, 1}).data() + offset, to.size());
}

void Blk::write_config(std::uint32_t offset, std::span<const std::byte> from) noexcept {
    // `writeback` is the one field a driver may write.
    if (offset == offsetof(Config, writeback) && from.size() == 1 && from[0] <= std::byte{1})
        write_back_ = from[0] == std::byte{1};
}

// Spec: 5.2.5.2. Also what a driver wrote that gave up before it got this far is forgotten.
void Blk::negotiated(virtio::Features features) noexcept {
    write_back_ = (features & f::kFlush) != 0;
}

void Blk::reset() noexcept {
    write_back_ = true;
    WorkerDevice::reset();
}

// The I/O thread.

void Blk::started(virtio::Features features, std::span<virtio::Queue> queues) noexcept {
    features_ = features;
    queues_ = queues;
}

void Blk::kicked(virtio::Queue& queue) noexcept {
    Lane& lane = lanes_[queue.index()];
    lane.queue = &queue;
    serve(queue, lane);
    rest();
    resume_lanes();
}

void Blk::serve(virtio::Queue& queue, Lane& lane) noexcept {
    for (unsigned turns = 0; !others_want_us(turns); ++turns) {
        queue.disable_kicks();
        if (bytes_under_way_ >= kMaxBytesUnderWay) {
            hold(lane);
            return;
        }
        if (take_batch(queue, lane) || worker().linger(queue, [this] { collect(); }) ||
            queue.enable_kicks())
            continue;
        return;
    }
    queue.kick();  // our own: we come back
}

void Blk::hold(Lane& lane) noexcept {
    held_lanes_ += std::exchange(lane.held, true) ? 0 : 1;
}

bool Blk::let_go(Lane& lane) noexcept {
    const bool was_held = std::exchange(lane.held, false);
    held_lanes_ -= was_held ? 1 : 0;
    return was_held;
}

// What had to stay in the rings can be taken now: the rings are as if they had just been kicked.
void Blk::resume_lanes() noexcept {
    if (held_lanes_ == 0 || bytes_under_way_ > kResumeBytes)
        return;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
        Lane& lane = lanes_[(first_to_resume_ + i) % lanes_.size()];
        if (let_go(lane))
            lane.queue->kick();
    }
    ++first_to_resume_;
}

// A driver that always has more must not keep the other queues waiting, nor a reset.
bool Blk::others_want_us(unsigned turns) const noexcept {
    return worker().commanded() || (queues_.size() > 1 && turns == kTurns);
}

void Blk::ready(std::uint32_t, std::uint32_t) noexcept {
    collect();
    rest();
    resume_lanes();
}

// False if there may be nothing more.
bool Blk::take_batch(virtio::Queue& queue, Lane& lane) noexcept {
    const std::uint64_t before = bytes_under_way_;
    const auto room = [&] {
        return bytes_under_way_ < kMaxBytesUnderWay && bytes_under_way_ - before < kBatchBytes;
    };
    unsigned taken = 0;
    bool full = false;
    while (taken < kBatch && !(full = !room()) && queue.pop(*chain_)) {
        // Asked for again each time: what the driver has changed before it made a chain available
        // (`writeback`), or was told (the capacity), holds for that chain.
        take(queue, lane, limits());
        ++taken;
    }
    if (taken > 0) {
        io_->commit();
        collect();
    }
    return full || taken == kBatch;
}

void Blk::take(virtio::Queue& queue, Lane& lane, const Limits& now) noexcept {
    Slot& slot = lane.take();
    const Parsed parsed = parse(*chain_, queue.memory(), now, slot.pieces, slot);
    if (parsed.action == Parsed::Action::Submit) {
        slot.head = chain_->head();
        slot.reply = parsed.reply;
        slot.read_bytes = parsed.read_bytes;
        slot.bytes = slot.iovecs.empty() ? 0 : slot.length;
        ++lane.under_way;
        ++under_way_;
        bytes_under_way_ += slot.bytes;
        io_->submit(slot);
        return;
    }
    const std::uint32_t written = parsed.action == Parsed::Action::GetId
                                      ? give_id(parsed.reply, queue.memory())
                                      : answer(parsed.reply, parsed.status, 0, queue.memory());
    queue.complete(chain_->head(), written);
    lane.stale = true;
    lane.put_back(slot);
}

std::uint32_t Blk::give_id(const Reply& reply, GuestMemory& memory) noexcept {
    std::array<char, kIdBytes> id{};
    options_.serial.copy(id.data(), id.size());
    const auto bytes = std::min<std::uint64_t>(reply.room, id.size());
    virtio::Cursor writer = chain_->writer();
    if (!writer.copy_out(memory, std::as_bytes(std::span{id}).first(bytes)))
        return answer(reply, Status::IoError, 0, memory);
    return answer(reply, Status::Ok, bytes, memory);
}

// Everything that is done goes back to the driver.
void Blk::collect() noexcept {
    while (BlockRequest* const request = io_->reap())
        finish(static_cast<Slot&>(*request));
    for (Lane& lane : lanes_)
        if (std::exchange(lane.stale, false))
            lane.queue->publish();
}

void Blk::finish(Slot& slot) noexcept {
    Lane& lane = *slot.lane;
    if (!slot.cancelled) [[likely]] {
        Status status = Status::Ok;
        if (slot.error != 0) {
            complain(slot);
            status = slot.error == EOPNOTSUPP ? Status::Unsupported : Status::IoError;
        }
        const std::uint32_t written =
            answer(slot.reply, status, slot.error == 0 ? slot.read_bytes : 0, lane.queue->memory());
        lane.queue->complete(slot.head, written);
        lane.stale = true;
    }
    --lane.under_way;
    --under_way_;
    bytes_under_way_ -= slot.bytes;
    lane.put_back(slot);
}

// Before the thread sleeps. A large request whose pieces are all there at once, since they are in
// the host's memory, does not keep commands waiting either.
void Blk::rest() noexcept {
    while (io_->arm()) {
        collect();
        if (worker().commanded()) {
            come_back();
            return;
        }
    }
}

void Blk::come_back() noexcept {
    const auto ours = std::ranges::find_if(lanes_, [](const Lane& lane) { return lane.queue; });
    if (ours != lanes_.end())
        ours->queue->kick();
}

// Whatever happened to them, the driver gets no answer: it has taken its buffers back.
void Blk::cancel(Lane& lane) noexcept {
    lane.for_each([this](Slot& slot) { io_->cancel(slot); });
    while (lane.under_way > 0) {
        io_->wait();
        collect();
    }
}

void Blk::stop(virtio::Queue& queue) noexcept {
    Lane& lane = lanes_[queue.index()];
    cancel(lane);
    let_go(lane);
    lane.queue = nullptr;
    // Those of the other queues still want to wake us. Not rest(): the driver waits for this queue,
    // and others whose pieces are always there would keep it waiting.
    come_back();
    resume_lanes();
}

void Blk::stopped() noexcept {
    queues_ = {};
}

// What is outstanding ends, however long the host takes; a reset cancels it meanwhile.
bool Blk::quiesce() noexcept {
    collect();
    rest();
    return under_way_ == 0;
}

Limits Blk::limits() const noexcept {
    const bool cache =
        (features_ & f::kFlush) != 0 && ((features_ & f::kConfigWce) == 0 || write_back_.load());
    return {.sectors = sectors_,
            .block = backend_->info().logical_block,
            .readonly = backend_->info().readonly,
            .write_through = !cache,
            .features = features_};
}

// Once for each kind: a guest can make a broken disk fail as often as it likes.
void Blk::complain(const Slot& slot) noexcept {
    if (std::exchange(complained_[static_cast<std::size_t>(slot.kind)], true))
        return;
    log::error(options_.name, " (", backend_->info().name, "): ", name_of(slot.kind),
               " failed: ", std::generic_category().message(slot.error),
               "; the guest is told, this line comes once");
}

}  // namespace vmm::virtio_blk
