// SPDX-License-Identifier: Apache-2.0
#include "machine/disk_sizes.hpp"

#include <utility>

#include "vmm/error_record.hpp"
#include "vmm/log.hpp"
#include "vmm/thread.hpp"

namespace vmm::machine {

void look_at_size(virtio_blk::Blk& disk) {
    if (const auto looked = disk.resized(); !looked)
        log::warn("the size of a disk stays as it was: ", record_of(looked.error()));
}

Result<std::unique_ptr<DiskSizes>> DiskSizes::create(boost::asio::io_context& loop,
                                                     const EventFd& ended) {
    auto request = VMM_TRY(EventFd::create_waitable());
    auto looked = VMM_TRY(EventFd::create());
    std::unique_ptr<DiskSizes> made{
        new DiskSizes{loop, ended, std::move(request), std::move(looked)}};
    made->thread_ = VMM_TRY_OR(make_thread({.kind = ThreadKind::Helper, .name = "disk-sizes"},
                                           [sizes = made.get()]() noexcept { sizes->run(); }),
                               "look at disks");
    return made;
}

DiskSizes::DiskSizes(boost::asio::io_context& loop, const EventFd& ended, EventFd request,
                     EventFd looked)
    : ended_{ended},
      request_{std::move(request)},
      looked_{std::move(looked)},
      looked_came_{loop, looked_.fd()} {
    await_looked();
}

DiskSizes::~DiskSizes() {
    looked_came_.release();  // the descriptor is looked_'s
    if (!thread_.joinable())
        return;
    end();
    thread_.join();
}

void DiskSizes::look(std::vector<Disk> disks, Answer answer) {
    answers_.push_back(std::move(answer));
    {
        const std::lock_guard guard{mutex_};
        looks_.push_back(std::move(disks));
    }
    request_.signal();
}

bool DiskSizes::forget(const virtio_blk::Blk& disk) {
    const std::lock_guard guard{mutex_};
    for (auto& look : looks_)
        std::erase_if(look, [&disk](const Disk& each) { return each.body == &disk; });
    return !now_ || now_->body != &disk;
}

void DiskSizes::end() noexcept {
    {
        const std::lock_guard guard{mutex_};
        ending_ = true;
    }
    request_.signal();
}

std::optional<std::string> DiskSizes::busy() const {
    const std::lock_guard guard{mutex_};
    return now_ ? std::optional{now_->name} : std::nullopt;
}

void DiskSizes::await_looked() {
    looked_came_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [this](boost::system::error_code failed) {
                                if (failed)
                                    return;
                                looked_.drain();
                                answer_looked();
                                await_looked();
                            });
}

void DiskSizes::answer_looked() {
    std::size_t finished = 0;
    {
        const std::lock_guard guard{mutex_};
        finished = std::exchange(finished_, 0);
    }
    for (; finished > 0; --finished) {
        auto answer = std::move(answers_.front());
        answers_.pop_front();
        answer({});
    }
}

void DiskSizes::run() noexcept {
    for (;;) {
        request_.wait();
        while (virtio_blk::Blk* const disk = next())
            look_at_size(*disk);
        const std::lock_guard guard{mutex_};
        if (ending_)
            return;
    }
}

// What was looked at is done with, and what is given is being looked at: both in one, so that
// whoever asks about a disk in between is told the truth.
virtio_blk::Blk* DiskSizes::next() {
    const std::lock_guard guard{mutex_};
    if (std::exchange(now_, std::nullopt))
        ended_.signal();
    while (!ending_ && !looks_.empty()) {
        auto& look = looks_.front();
        if (!look.empty()) {
            now_ = std::move(look.front());
            look.erase(look.begin());
            return now_->body;
        }
        looks_.pop_front();
        ++finished_;
        looked_.signal();
    }
    return nullptr;
}

}  // namespace vmm::machine
