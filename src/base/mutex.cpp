// SPDX-License-Identifier: Apache-2.0
#include "vmm/mutex.hpp"

#ifdef NDEBUG

#include <type_traits>

namespace vmm {

static_assert(std::is_same_v<RankedMutex<LockRank::Device>, std::mutex>);
static_assert(sizeof(MutexOfRank) == sizeof(std::mutex));

}  // namespace vmm

#else

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <span>
#include <string_view>
#include <utility>

#include "vmm/last_words.hpp"

namespace vmm {
namespace {

constexpr std::string_view name_of(LockRank rank) {
    switch (rank) {
        case LockRank::VcpuSet:
            return "VcpuSet";
        case LockRank::PciLayout:
            return "PciLayout";
        case LockRank::MemoryLayout:
            return "MemoryLayout";
        case LockRank::Doorbells:
            return "Doorbells";
        case LockRank::AddressSpace:
            return "AddressSpace";
        case LockRank::PciConfigAccess:
            return "PciConfigAccess";
        case LockRank::Device:
            return "Device";
        case LockRank::ConsolePorts:
            return "ConsolePorts";
        case LockRank::WorkerCommands:
            return "WorkerCommands";
        case LockRank::ConsoleOutput:
            return "ConsoleOutput";
        case LockRank::VirtioInterrupt:
            return "VirtioInterrupt";
        case LockRank::PciPin:
            return "PciPin";
        case LockRank::PciLine:
            return "PciLine";
        case LockRank::IrqPinTable:
            return "IrqPinTable";
        case LockRank::IrqPin:
            return "IrqPin";
        case LockRank::IoApic:
            return "IoApic";
        case LockRank::IrqRoutes:
            return "IrqRoutes";
        case LockRank::FakeVm:
            return "FakeVm";
        case LockRank::FakeVcpu:
            return "FakeVcpu";
        case LockRank::ThreadDesk:
            return "ThreadDesk";
        case LockRank::BlockPool:
            return "BlockPool";
        case LockRank::EventTexts:
            return "EventTexts";
        case LockRank::DiskSizes:
            return "DiskSizes";
        case LockRank::LogSink:
            return "LogSink";
        case LockRank::MessageStream:
            return "MessageStream";
        case LockRank::MessageWriter:
            return "MessageWriter";
        case LockRank::StaticList:
            return "StaticList";
    }
    return "?";
}

/// What a thread holds, in the order in which it was taken. Trivially destructible: also for what
/// runs when a thread or the process ends.
class Held {
public:
    std::span<const Mutex* const> all() const { return std::span{mutexes_}.first(count_); }
    bool add(const Mutex& mutex) {
        if (count_ == mutexes_.size())
            return false;
        mutexes_[count_++] = &mutex;
        return true;
    }
    bool remove(const Mutex& mutex) {
        const auto end = mutexes_.begin() + static_cast<std::ptrdiff_t>(count_);
        const auto found = std::find(mutexes_.begin(), end, &mutex);
        if (found == end)
            return false;
        std::move(found + 1, end, found);
        --count_;
        return true;
    }

private:
    std::array<const Mutex*, 32> mutexes_{};  // more than there are ranks
    std::size_t count_ = 0;
};

constinit thread_local Held held;

// No log record: the log's own locks are among those that are looked after.
[[noreturn]] void end(const Mutex& mutex, std::string_view does, const Mutex* other,
                      std::string_view state) noexcept {
    LastWords words;
    const auto add = [&words](const Mutex& which) {
        words.add(name_of(which.rank())).add(" (rank ");
        words.add(std::uint64_t{std::to_underlying(which.rank())}).add(")");
    };
    words.add("vmm: bug: lock order: ");
    add(mutex);
    words.add(does);
    if (other != nullptr)
        add(*other);
    words.add(state).add("; the order is in vmm/mutex.hpp\n");
    words.say(std::chrono::milliseconds{500});
    std::abort();
}

void note_taken(const Mutex& mutex) noexcept {
    if (!held.add(mutex))
        end(mutex, " is one lock too many for this thread", nullptr, "");
}

}  // namespace

void Mutex::lock() {
    for (const Mutex* const other : held.all()) {
        if (other == this)
            end(*this, " is taken by the thread that holds it", nullptr, "");
        if (other->rank_ >= rank_)
            end(*this, " is taken while ", other, " is held");
    }
    native_.lock();
    note_taken(*this);
}

bool Mutex::try_lock() {
    if (!native_.try_lock())
        return false;
    note_taken(*this);
    return true;
}

void Mutex::unlock() {
    if (!held.remove(*this))
        end(*this, " is released by a thread that does not hold it", nullptr, "");
    native_.unlock();
}

void Mutex::assert_held_alone() const noexcept {
    for (const Mutex* const other : held.all())
        if (other != this)
            end(*this, " is waited with while ", other, " is held");
}

}  // namespace vmm

#endif
