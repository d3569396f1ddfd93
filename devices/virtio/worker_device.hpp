// SPDX-License-Identifier: Apache-2.0
// A device body whose queues are served by one Worker: what the register side asks for is passed
// on, and the body is left with what it is and with the Worker's Handler.
//
//     class Rng final : public virtio::WorkerDevice {
//         ~Rng() override { end_worker(); }   // before what its thread uses
//
// Threads: Device's functions come from the register side, Handler's from the worker's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "virtio/device.hpp"
#include "virtio/worker.hpp"
#include "vmm/assert.hpp"
#include "vmm/error.hpp"

namespace vmm::virtio {

class WorkerDevice : public Device, protected Worker::Handler {
public:
    ~WorkerDevice() override { VMM_ASSERT(worker_ == nullptr); }  // see end_worker()
    WorkerDevice(const WorkerDevice&) = delete;
    WorkerDevice& operator=(const WorkerDevice&) = delete;

    void attach(Link& link) noexcept override {
        link_ = &link;
        worker_->attach(link);
    }
    void activate(Features features, std::span<Queue> queues) noexcept override {
        worker_->activate(features, queues);
    }
    void reset() noexcept override { worker_->reset(); }
    void stop_queue(std::uint16_t index) noexcept override { worker_->stop_queue(index); }
    void start_queue(Queue& queue) noexcept override { worker_->start_queue(queue); }
    void pause() noexcept override { worker_->pause(); }
    void resume() noexcept override { worker_->resume(); }

protected:
    WorkerDevice() = default;

    /// Once, before everything else. With a stepper there is no thread.
    Result<> make_worker(ThreadKind kind, std::string name, Stepper* stepper) {
        worker_ = VMM_TRY(Worker::create(kind, std::move(name), *this, stepper));
        return {};
    }
    /// In the destructor of the body: the thread ends before the body's members do.
    void end_worker() noexcept { worker_.reset(); }

    Worker& worker() const noexcept { return *worker_; }
    Link* link() const noexcept { return link_; }  ///< null before attach()

private:
    Link* link_ = nullptr;
    std::unique_ptr<Worker> worker_;
};

}  // namespace vmm::virtio
