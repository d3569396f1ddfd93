// SPDX-License-Identifier: Apache-2.0
#include "machine/disk_sizes.hpp"

#include <pthread.h>

#include <system_error>
#include <utility>

#include "vmm/error_record.hpp"
#include "vmm/faults.hpp"
#include "vmm/log.hpp"
#include "vmm/thread.hpp"

namespace vmm::machine {

void look_at_size(virtio_blk::Blk& disk) {
    if (const auto looked = disk.resized(); !looked)
        log::warn("the size of a disk stays as it was: ", record_of(looked.error()));
}

Result<std::unique_ptr<DiskSizes>> DiskSizes::create(boost::asio::io_context& loop,
                                                     std::vector<Disk> disks,
                                                     const EventFd& ended) {
    auto request = VMM_TRY(EventFd::create_waitable());
    auto looked = VMM_TRY(EventFd::create());
    std::unique_ptr<DiskSizes> made{
        new DiskSizes{loop, std::move(disks), ended, std::move(request), std::move(looked)}};
    const SignalsBlocked blocked;
    try {
        made->thread_ = std::thread{[sizes = made.get()] { sizes->run(); }};
    } catch (const std::system_error& failure) {
        return std::unexpected(no_thread(failure.code().value()).context("look at disks"));
    }
    return made;
}

DiskSizes::DiskSizes(boost::asio::io_context& loop, std::vector<Disk> disks, const EventFd& ended,
                     EventFd request, EventFd looked)
    : disks_{std::move(disks)},
      ended_{ended},
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

void DiskSizes::look(Answer answer) {
    asked_.push_back({++wanted_, std::move(answer)});
    request_.signal();
}

void DiskSizes::end() noexcept {
    ending_ = true;
    request_.signal();
}

const std::string* DiskSizes::busy() const noexcept {
    const Disk* const now = now_;
    return now == nullptr ? nullptr : &now->name;
}

void DiskSizes::await_looked() {
    looked_came_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [this](boost::system::error_code failed) {
                                if (failed)
                                    return;
                                looked_.drain();
                                while (!asked_.empty() && asked_.front().number <= done_) {
                                    auto answer = std::move(asked_.front().answer);
                                    asked_.pop_front();
                                    answer({});
                                }
                                await_looked();
                            });
}

void DiskSizes::run() noexcept {
    const FaultStack stack;
    ::pthread_setname_np(::pthread_self(), "disk-sizes");
    for (;;) {
        request_.wait();
        const auto number = wanted_.load();
        for (const Disk& disk : disks_) {
            // In this order, as end() and busy() are called the other way round: either the end is
            // seen here, or this disk there.
            now_ = &disk;
            if (!ending_)
                look_at_size(*disk.body);
            now_ = nullptr;
            ended_.signal();
        }
        if (ending_)
            return;
        done_ = number;
        looked_.signal();
    }
}

}  // namespace vmm::machine
