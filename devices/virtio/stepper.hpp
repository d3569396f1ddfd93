// SPDX-License-Identifier: Apache-2.0
// Takes the steps of a Worker in place of its thread, for tests and fuzzers: what happened is
// fetched as the thread would fetch it, and what is done about it first is the caller's choice.
//
//     virtio::Stepper stepper;                       // given to the device as an option
//     rig.write_status(0);                           // a reset, and before the thread has seen it
//     backend.wire().cut();                          // the host's side hangs up
//     stepper.fetch();                               // one epoll_wait: both events
//     while (stepper.fetched() > 0)
//         stepper.dispatch(0);
//
// The handler's code is the real one, and so are the descriptors. Threads: the caller's. Whoever
// destroys the transport steps until the reset is done: nobody else does.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <vector>

namespace vmm::virtio {

class Worker;

class Stepper {
public:
    Stepper() = default;
    Stepper(const Stepper&) = delete;
    Stepper& operator=(const Stepper&) = delete;

    /// Adds what happened since to what is not dispatched yet; gives how much that is.
    std::size_t fetch();
    std::size_t fetched() const noexcept { return batch_.size(); }
    /// Does what one of the fetched events asks for; `which` counts from the oldest.
    void dispatch(std::size_t which);
    /// Makes the calls that were asked for by call_after(), as if their time had come.
    void make_calls() noexcept;
    /// Fetches and dispatches in order until nothing comes any more, for so many events at most.
    /// False: there is still something to do.
    bool run(std::size_t most = 1000);

private:
    friend class Worker;

    Worker* worker_ = nullptr;
    std::vector<epoll_event> batch_;
};

}  // namespace vmm::virtio
