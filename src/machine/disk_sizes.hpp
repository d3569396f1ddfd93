// SPDX-License-Identifier: Apache-2.0
// Disks whose medium may have another size now.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "machine/command.hpp"
#include "virtio_blk/virtio_blk.hpp"
#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"

namespace vmm::machine {

/// Tells the driver if the size has changed. A disk that cannot be looked at costs a warning and
/// keeps the size it had. Threads: any that holds no device's lock, one at a time.
void look_at_size(virtio_blk::Blk& disk);

/// The same for all disks, on a thread of its own: fstat() of a file whose server is gone does not
/// return. Threads: the main thread.
class DiskSizes {
public:
    struct Disk {
        std::string name;
        virtio_blk::Blk* body = nullptr;
    };
    /// Starts the thread. Disks, loop and `ended` outlive this; `ended` is signalled when a disk
    /// has been looked at.
    static Result<std::unique_ptr<DiskSizes>> create(boost::asio::io_context& loop,
                                                     std::vector<Disk> disks, const EventFd& ended);
    /// Waits for the disk that is being looked at.
    ~DiskSizes();
    DiskSizes(const DiskSizes&) = delete;
    DiskSizes& operator=(const DiskSizes&) = delete;

    /// Looks at all of them, after what is under way. The answer comes from the loop.
    void look(Answer answer);

    /// Looks at no further disk.
    void end() noexcept;
    /// The disk whose host has not said its size yet; null: none, and after end() none will come.
    const std::string* busy() const noexcept;

private:
    struct Asked {
        std::uint64_t number = 0;
        Answer answer;
    };

    DiskSizes(boost::asio::io_context& loop, std::vector<Disk> disks, const EventFd& ended,
              EventFd request, EventFd looked);
    void await_looked();
    void run() noexcept;

    std::vector<Disk> disks_;
    const EventFd& ended_;
    EventFd request_;
    EventFd looked_;
    boost::asio::posix::stream_descriptor looked_came_;
    std::deque<Asked> asked_;
    std::atomic<std::uint64_t> wanted_{0};  // the number of the last look that was asked for
    std::atomic<std::uint64_t> done_{0};
    std::atomic<const Disk*> now_{nullptr};
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

}  // namespace vmm::machine
