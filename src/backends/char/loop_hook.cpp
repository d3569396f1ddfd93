// SPDX-License-Identifier: Apache-2.0
#include "backends/char/loop_hook.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <utility>

namespace vmm {

struct LoopHook::Waiter : std::enable_shared_from_this<Waiter> {
    Waiter(boost::asio::io_context& loop, UniqueFd fd,
           std::move_only_function<void() noexcept> then)
        : descriptor{loop, fd.release()}, ready{std::move(then)} {}

    void wait() {
        descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                              [self = shared_from_this()](boost::system::error_code error) {
                                  if (error || self->ended)
                                      return;
                                  self->ready();
                                  if (!self->ended)
                                      self->wait();
                              });
    }

    boost::asio::posix::stream_descriptor descriptor;
    std::move_only_function<void() noexcept> ready;
    bool ended = false;
};

LoopHook::LoopHook(boost::asio::io_context& loop, UniqueFd fd,
                   std::move_only_function<void() noexcept> ready)
    : waiter_{std::make_shared<Waiter>(loop, std::move(fd), std::move(ready))} {
    waiter_->wait();
}

LoopHook::~LoopHook() {
    waiter_->ended = true;
    boost::system::error_code ignored;
    waiter_->descriptor.close(ignored);
}

}  // namespace vmm
