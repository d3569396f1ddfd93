// SPDX-License-Identifier: Apache-2.0
// A list that a signal handler may walk at any time, in any thread.
//
// Entries link themselves: nothing is allocated, and each change is one store, so that a handler
// which interrupts it sees the list before or after. It takes no lock: an entry must not go while
// a handler could be looking at it, which for us means: only when the process is dying anyway.
#pragma once

#include <atomic>
#include <mutex>

#include "vmm/mutex.hpp"

namespace vmm {

/// Base of T's that are in `list` while they live. CRTP.
template <class T>
class Listed {
public:
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;

    /// Calls `use` for each, the newest first, until it says true. Async-signal-safe if `use` is.
    template <class Use>
    static void find(Use use) noexcept {
        for (Listed* entry = first().load(); entry != nullptr; entry = entry->next_.load())
            if (use(static_cast<T&>(*entry)))
                return;
    }

protected:
    Listed() = default;
    ~Listed() = default;

    /// At the end of T's constructor, when a handler may use it.
    void enlist() noexcept {
        const std::lock_guard guard{changing()};
        next_.store(first().load());
        first().store(this);
    }

    /// At the start of T's destructor.
    void delist() noexcept {
        const std::lock_guard guard{changing()};
        std::atomic<Listed*>* link = &first();
        while (link->load() != nullptr && link->load() != this)
            link = &link->load()->next_;
        if (link->load() == this)
            link->store(next_.load());
    }

private:
    static std::atomic<Listed*>& first() noexcept {
        static constinit std::atomic<Listed*> head{nullptr};
        return head;
    }
    static Mutex& changing() noexcept {
        static constinit RankedMutex<LockRank::StaticList> mutex;
        return mutex;
    }

    std::atomic<Listed*> next_{nullptr};
};

}  // namespace vmm
