// SPDX-License-Identifier: Apache-2.0
// Message interrupts for tests: eventfds that count what reached the guest.
//
// A vector behaves as KVM's irqfd does: a signal while connected is delivered, one while masked
// stays in the eventfd. Threads: signal() from any; the rest from one.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "vmm/event_fd.hpp"
#include "vmm/msi.hpp"

namespace vmm::test {

class FakeMsiSink final : public MsiSink {
public:
    /// What a test looks at; stays valid when the vector itself is gone.
    struct Record {
        std::atomic<int> delivered{0};
        std::atomic<bool> connected{false};
        /// Called before a signal has an effect: what another CPU does at that moment.
        std::function<void()> before_signal;
        std::vector<MsiMessage> messages;  ///< one for each unmask()
        std::mutex mutex;                  ///< a signal finds it connected or not, as in KVM
        bool alive = true;
    };

    Result<std::unique_ptr<MsiVector>> allocate() override {
        if (left == 0)
            return std::unexpected(Error{ErrorKind::Os, "no vectors left"});
        --left;
        auto event = VMM_TRY(EventFd::create());
        vectors.push_back(std::make_unique<Record>());
        return std::make_unique<Vector>(std::move(event), *vectors.back(), *this);
    }

    int delivered(std::size_t vector) const { return vectors.at(vector)->delivered; }

    std::vector<std::unique_ptr<Record>> vectors;
    int left = 1 << 20;          ///< allocate() fails when it is used up
    bool refuse_unmask = false;  ///< unmask() fails

private:
    class Vector final : public MsiVector {
    public:
        Vector(EventFd event, Record& record, FakeMsiSink& sink)
            : event_{std::move(event)}, record_{record}, sink_{sink} {}
        ~Vector() override { record_.alive = false; }

        Result<> unmask(MsiMessage message) override {
            if (sink_.refuse_unmask)
                return std::unexpected(Error{ErrorKind::Os, "no route"});
            if (record_.connected)
                std::abort();  // the owner must mask before it changes a message
            const std::scoped_lock held{record_.mutex};
            record_.messages.push_back(message);
            record_.connected = true;
            if (event_.drain())  // KVM looks, too
                ++record_.delivered;
            return {};
        }
        void mask() noexcept override {
            const std::scoped_lock held{record_.mutex};
            record_.connected = false;
        }
        void signal() noexcept override {
            if (record_.before_signal)
                std::exchange(record_.before_signal, nullptr)();
            const std::scoped_lock held{record_.mutex};
            if (record_.connected)
                ++record_.delivered;
            else
                event_.signal();
        }
        int fd() const noexcept override { return event_.fd(); }

    private:
        EventFd event_;
        Record& record_;
        FakeMsiSink& sink_;
    };
};

}  // namespace vmm::test
