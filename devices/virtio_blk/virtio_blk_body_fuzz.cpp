// SPDX-License-Identifier: Apache-2.0
// The whole disk: a driver that does what the input says, a medium that ends requests in the
// input's order, and the worker's steps in between, across resets of the device and of queues.
//
// What must hold: a request is the backend's once at a time, lies in RAM, and comes back before the
// reset that it belongs to is done; what is outstanding is bounded in bytes; and after all of it
// the disk answers a good driver.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "support/fuzz_input.hpp"
#include "virtio/stepper.hpp"
#include "virtio_blk/virtio_blk.hpp"
#include "virtio_support/device_rig.hpp"
#include "vmm/block_backend.hpp"
#include "vmm/event_fd.hpp"

namespace vmm::virtio_blk {
namespace {

constexpr std::uint64_t kRam = 1 << 20;
constexpr std::uint64_t kDisk = std::uint64_t{1} << 31;
constexpr std::uint16_t kQueues = 2;
constexpr std::uint16_t kQueueSize = 16;
constexpr std::uint64_t kMostOutstanding = (32 << 20) + kQueueSize * kRam;  // and one request
constexpr unsigned kMostStarts = 12;  // each takes memory for its rings

void check(bool holds) {
    if (!holds)
        std::abort();
}

/// A medium without a thread; what it holds nobody looks at.
class FuzzBackend final : public BlockBackend, public BlockQueue {
public:
    FuzzBackend(test::FuzzInput& input, bool readonly) : input_{input} {
        info_.name = "fuzz";
        info_.size = kDisk;
        info_.readonly = readonly;
        info_.can_discard = info_.can_unmap_zeroes = true;
    }

    void set_memory(std::span<const std::byte> ram) { ram_ = ram; }
    std::size_t outstanding() const { return under_way_.size() + done_count_; }
    /// Ends one of those that are under way; which and how is the input's choice.
    void end_one() {
        if (!under_way_.empty())
            end(input_.take<std::uint8_t>() % under_way_.size(), input_.take<std::uint8_t>());
    }

    const BlockInfo& info() const noexcept override { return info_; }
    Result<std::uint64_t> current_size() const override { return kDisk; }
    Result<std::unique_ptr<BlockQueue>> make_queue(unsigned) override {
        return std::make_unique<Lent>(*this);
    }

    void submit(BlockRequest& request) noexcept override {
        check(std::ranges::find(under_way_, &request) == under_way_.end());
        std::uint64_t total = 0;
        for (const iovec& piece : request.iovecs) {
            const auto* const at = static_cast<const std::byte*>(piece.iov_base);
            check(at >= ram_.data() && at + piece.iov_len <= ram_.data() + ram_.size());
            total += piece.iov_len;
        }
        under_way_.push_back(&request);
        bytes_ += total;
        check(bytes_ <= kMostOutstanding);
    }
    void commit() noexcept override {
        for (unsigned some = input_.take<std::uint8_t>() % 4; some > 0; --some)
            end_one();
    }
    BlockRequest* reap() noexcept override {
        BlockRequest* const request = done_.pop();
        done_count_ -= request != nullptr ? 1 : 0;
        return request;
    }
    void cancel(BlockRequest& request) noexcept override {
        request.cancelled = true;
        const auto found = std::ranges::find(under_way_, &request);
        if (found != under_way_.end() && (input_.take<std::uint8_t>() & 1) != 0)
            end(static_cast<std::size_t>(found - under_way_.begin()), 0xff);
    }
    bool arm() noexcept override {
        armed_ = done_.empty();
        return !armed_;
    }
    int completion_fd() const noexcept override { return event_.fd(); }
    void wait() noexcept override {
        check(outstanding() > 0);
        if (done_.empty())
            end_one();
    }

private:
    /// What the device owns.
    class Lent final : public BlockQueue {
    public:
        explicit Lent(FuzzBackend& of) : of_{of} {}
        void submit(BlockRequest& request) noexcept override { of_.submit(request); }
        void commit() noexcept override { of_.commit(); }
        BlockRequest* reap() noexcept override { return of_.reap(); }
        void cancel(BlockRequest& request) noexcept override { of_.cancel(request); }
        bool arm() noexcept override { return of_.arm(); }
        int completion_fd() const noexcept override { return of_.completion_fd(); }
        void wait() noexcept override { of_.wait(); }

    private:
        FuzzBackend& of_;
    };

    void end(std::size_t which, std::uint8_t how) {
        BlockRequest& request = *under_way_[which];
        under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(which));
        request.error = how < 0xf0 ? 0 : how == 0xff ? ECANCELED : how == 0xfe ? EOPNOTSUPP : EIO;
        for (const iovec& piece : request.iovecs) {
            bytes_ -= piece.iov_len;
            // Not all of it, which would be gigabytes; but its ends, so that they are looked at.
            if (request.kind == BlockRequest::Kind::Read && piece.iov_len > 0) {
                static_cast<std::byte*>(piece.iov_base)[0] = std::byte{how};
                static_cast<std::byte*>(piece.iov_base)[piece.iov_len - 1] = std::byte{how};
            }
        }
        done_.push(request);
        ++done_count_;
        if (std::exchange(armed_, false))
            event_.signal();
    }

    test::FuzzInput& input_;
    BlockInfo info_;
    EventFd event_ = std::move(EventFd::create().value());
    std::span<const std::byte> ram_;
    std::vector<BlockRequest*> under_way_;
    BlockRequestList done_;
    std::size_t done_count_ = 0;
    std::uint64_t bytes_ = 0;
    bool armed_ = true;
};

class Fuzz {
public:
    explicit Fuzz(test::FuzzInput& input) : input_{input} {
        const auto options = input.take<std::uint8_t>();
        auto backend = std::make_unique<FuzzBackend>(input, (options & 1) != 0);
        backend_ = backend.get();
        disk_ = std::move(
            Blk::create(
                {.name = "fuzz", .queues = kQueues, .queue_size = kQueueSize, .stepper = &stepper_},
                std::move(backend))
                .value());
        rig_ = std::make_unique<test::DeviceRig>(
            *disk_, test::DeviceRig::Options{
                        .kind = (options & 2) != 0 ? test::RingKind::Packed : test::RingKind::Split,
                        .event_idx = (options & 4) != 0,
                        .in_order = (options & 8) != 0,
                        .ram = kRam});
        backend_->set_memory({rig_->memory().host(Gpa{0}, kRam), kRam});
        headers_ = rig_->room(0x1000, 0x1000);
        data_ = rig_->room(0x80000, 0x1000);
        start();
    }
    ~Fuzz() {
        rig_->write_status(0);
        settle();
    }

    void step() {
        switch (input_.take<std::uint8_t>() % 12) {
            case 0:
            case 1:
            case 2:
                return offer();
            case 3:
                return kick();
            case 4:
                stepper_.fetch();
                return;
            case 5:
            case 6:
                if (stepper_.fetched() > 0)
                    stepper_.dispatch(input_.take<std::uint8_t>() % stepper_.fetched());
                return;
            case 7:
            case 8:
                return backend_->end_one();
            case 9:
                return reset();
            case 10:
                return reset_queue();
            default:
                return write_config();
        }
    }

    /// After all of it: a reset, and a driver that keeps to the rules gets its answer.
    void end_well() {
        rig_->write_status(0);
        settle();
        started_ = true;
        check(rig_->start());
        const Gpa status = rig_->put_value(std::uint8_t{0x55});
        const Gpa header = rig_->put_value(std::array<std::uint32_t, 4>{4, 0, 0, 0});  // flush
        rig_->queue(0).add({{header, 16}, {status, 1, true}});
        rig_->kick(0);
        for (int i = 0; i < 8; ++i) {
            check(stepper_.run());
            backend_->end_one();
        }
        check(rig_->queue(0).collect().has_value());
    }

private:
    void start() {
        if (rig_->status() != 0 || starts_++ >= kMostStarts)
            return;
        started_ = rig_->start();
    }
    /// Nothing is left to be done, and a reset that was asked for is over.
    void settle() {
        check(stepper_.run(100'000));
        check(rig_->status() == 0);
        check(backend_->outstanding() == 0);
        started_ = false;
    }
    void reset() {
        rig_->write_status(0);
        started_ = false;
        if ((input_.take<std::uint8_t>() & 1) != 0)
            settle();
        start();
    }
    void reset_queue() {
        if (!started_)
            return;
        virtio::Registers& registers = rig_->registers();
        const std::scoped_lock held{rig_->transport().mutex};
        registers.settle();
        registers.set_queue_select(input_.take<std::uint8_t>() % kQueues);
        if ((input_.take<std::uint8_t>() & 1) != 0)
            registers.set_queue_reset(1);
        else if (!registers.queue_enable() && !registers.queue_reset())
            registers.set_queue_enable(1);  // at address 0, with what lies there
    }
    void kick() { rig_->kick(input_.take<std::uint8_t>() % kQueues); }
    void write_config() { rig_->write_config<std::uint8_t>(32, input_.take<std::uint8_t>()); }

    /// One chain: mostly a request, its descriptors as the input wants them.
    void offer() {
        if (!started_)
            return;
        test::VirtQueueDriver& driver = rig_->queue(input_.take<std::uint8_t>() % kQueues);
        const auto shape = input_.take<std::uint8_t>();
        const auto slot = input_.take<std::uint8_t>();
        const Gpa header{headers_.value() + 16u * (slot % 128)};
        const std::array<std::uint64_t, 2> request{
            static_cast<std::uint64_t>((shape & 0xf0) == 0xf0 ? input_.take<std::uint32_t>()
                                                              : (shape >> 4) % 14),
            std::uint64_t{input_.take<std::uint16_t>()}};
        check(rig_->memory().write(header, request));
        std::array<test::VirtQueueDriver::RawDescriptor, 9> chain{};
        std::size_t count = 0;
        chain[count++] = {.at = header.value(), .length = 16};
        for (unsigned pieces = 2 * (shape % 4); pieces > 0; --pieces) {
            const auto place = input_.take<std::uint16_t>();
            chain[count++] = {
                .at = data_.value() + (place & 0x3ff) * 0x200u,
                .length = (place >> 10) * 0x2000u + 0x200u,
                .flags = (shape & 4) != 0 ? test::VirtQueueDriver::kWrite : std::uint16_t{0}};
        }
        chain[count++] = {.at = headers_.value() + 0x800 + slot,
                          .length = 1,
                          .flags = test::VirtQueueDriver::kWrite};
        put(driver, {chain.data(), count}, slot);
        if ((shape & 8) != 0)
            kick();
    }
    void put(test::VirtQueueDriver& driver, std::span<test::VirtQueueDriver::RawDescriptor> chain,
             std::uint16_t slot) {
        using Driver = test::VirtQueueDriver;
        const bool split = driver.kind() == test::RingKind::Split;
        const std::uint16_t from = split ? slot : driver.next_place();
        for (std::size_t i = chain.size(); i-- > 0;) {  // the first one last: it counts
            const auto place = static_cast<std::uint16_t>((from + i) % kQueueSize);
            Driver::RawDescriptor raw = chain[i];
            if (i + 1 < chain.size())
                raw.flags = static_cast<std::uint16_t>(raw.flags | Driver::kNext);
            if (!split)
                raw.flags = static_cast<std::uint16_t>(raw.flags | driver.available_flags());
            raw.next_or_id = split ? static_cast<std::uint16_t>((place + 1u) % kQueueSize) : slot;
            driver.poke_descriptor(place, raw);
        }
        if (split)
            driver.offer_head(slot % kQueueSize);
        else
            driver.skip_places(static_cast<std::uint16_t>(chain.size()));
    }

    test::FuzzInput& input_;
    virtio::Stepper stepper_;
    FuzzBackend* backend_ = nullptr;
    std::unique_ptr<Blk> disk_;
    std::unique_ptr<test::DeviceRig> rig_;
    Gpa headers_;
    Gpa data_;
    unsigned starts_ = 0;
    bool started_ = false;
};

}  // namespace
}  // namespace vmm::virtio_blk

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    vmm::test::FuzzInput input{data, size};
    vmm::virtio_blk::Fuzz fuzz{input};
    while (!input.empty())
        fuzz.step();
    fuzz.end_well();
    return 0;
}
