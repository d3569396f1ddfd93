// SPDX-License-Identifier: Apache-2.0
// Disks whose medium may have another size now.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "machine/command.hpp"
#include "virtio_blk/virtio_blk.hpp"
#include "vmm/error.hpp"
#include "vmm/event_fd.hpp"
#include "vmm/mutex.hpp"

namespace vmm::machine {

/// Tells the driver if the size has changed. A disk that cannot be looked at costs a warning and
/// keeps the size it had. Threads: any that holds no device's lock, one at a time.
void look_at_size(virtio_blk::Blk& disk);

/// The same for several disks, on a thread of its own: fstat() of a file whose server is gone does
/// not return. Threads: the main thread.
class DiskSizes {
public:
    struct Disk {
        std::string name;
        virtio_blk::Blk* body = nullptr;
    };
    /// Starts the thread. Loop and `ended` outlive this; `ended` is signalled when a disk has been
    /// looked at.
    static Result<std::unique_ptr<DiskSizes>> create(boost::asio::io_context& loop,
                                                     const EventFd& ended);
    /// Waits for the disk that is being looked at.
    ~DiskSizes();
    DiskSizes(const DiskSizes&) = delete;
    DiskSizes& operator=(const DiskSizes&) = delete;

    /// Looks at these, after what is under way. The answer comes from the loop. Disks outlive this,
    /// or are forgotten before they go.
    void look(std::vector<Disk> disks, Answer answer);

    /// Stops looking at this one, unless it is at it right now: then false, and `ended` will say
    /// when to ask again.
    [[nodiscard]] bool forget(const virtio_blk::Blk& disk);

    /// Looks at no further disk.
    void end() noexcept;
    /// The disk whose host has not said its size yet; after end() none will come.
    std::optional<std::string> busy() const;

private:
    DiskSizes(boost::asio::io_context& loop, const EventFd& ended, EventFd request, EventFd looked);
    void await_looked();
    void answer_looked();
    void run() noexcept;
    virtio_blk::Blk* next();

    const EventFd& ended_;
    EventFd request_;
    EventFd looked_;
    boost::asio::posix::stream_descriptor looked_came_;
    std::deque<Answer> answers_;  // of those looks that have not been told of

    mutable RankedMutex<LockRank::DiskSizes> mutex_;  // over what follows, for an instant
    std::deque<std::vector<Disk>> looks_;             // each the rest of one
    std::size_t finished_ = 0;                        // looks that have not been told of
    std::optional<Disk> now_;                         // being looked at
    bool ending_ = false;
    std::jthread thread_;
};

}  // namespace vmm::machine
