// SPDX-License-Identifier: Apache-2.0
#include "pl031/pl031.hpp"

#include <chrono>
#include <mutex>

namespace vmm {
namespace {

// offset, access, register
constexpr std::uint64_t kData = 0x00;     // r   RTCDR
constexpr std::uint64_t kMatch = 0x04;    // rw  RTCMR
constexpr std::uint64_t kLoad = 0x08;     // rw  RTCLR
constexpr std::uint64_t kControl = 0x0c;  // rw  RTCCR
constexpr std::uint64_t kMask = 0x10;     // rw  RTCIMSC
constexpr std::uint64_t kRaw = 0x14;      // r   RTCRIS
constexpr std::uint64_t kMasked = 0x18;   // r   RTCMIS
constexpr std::uint64_t kClear = 0x1c;    // w   RTCICR

constexpr std::uint64_t kRuns = 1;   // RTCCR
constexpr std::uint64_t kAlarm = 1;  // the one bit of the interrupt registers

constexpr PrimeCellId kId{.part = 0x031, .revision = 0};

// A clock that moved by more than this has moved the other way.
constexpr std::uint32_t kHalf = 0x8000'0000;

constexpr std::uint16_t kStateVersion = 1;

}  // namespace

std::uint64_t Pl031::read(Access access) noexcept {
    if (access.size == AccessSize::Qword)
        return kAllOnes;
    look_for_match();
    switch (access.offset) {
        case kData:
            return seen_;
        case kMatch:
            return match_;
        case kLoad:
            return load_;
        case kControl:
            return kRuns;
        case kMask:
            return unmasked_ ? kAlarm : 0;
        case kRaw:
            return matched_ ? kAlarm : 0;
        case kMasked:
            return matched_ && unmasked_ ? kAlarm : 0;
        default:
            break;
    }
    const auto id = kId.at(access.offset);
    return id ? *id : kAllOnes;
}

void Pl031::write(Access access, std::uint64_t value) noexcept {
    if (access.size == AccessSize::Qword)
        return;
    look_for_match();
    switch (access.offset) {
        case kMatch:
            match_ = static_cast<std::uint32_t>(value);
            matched_ |= match_ == seen_;
            break;
        case kLoad:
            load(static_cast<std::uint32_t>(value));
            break;
        case kMask:
            unmasked_ = (value & kAlarm) != 0;
            break;
        case kClear:
            if ((value & kAlarm) != 0)
                matched_ = false;
            break;
        default:  // a clock that runs is not stopped by RTCCR; the rest is read only
            break;
    }
}

std::uint32_t Pl031::host_seconds() const {
    const auto now = std::chrono::floor<std::chrono::seconds>(clock_.utc());
    return static_cast<std::uint32_t>(now.time_since_epoch().count());
}

void Pl031::load(std::uint32_t value) {
    load_ = value;
    ahead_ = value - host_seconds();
    seen_ = value;
    matched_ |= match_ == value;
}

void Pl031::look_for_match() {
    const std::uint32_t now = count();
    const std::uint32_t passed = now - seen_;
    // The counts after seen_, up to and including now.
    if (passed < kHalf && match_ - seen_ - 1 < passed)
        matched_ = true;
    seen_ = now;
}

void Pl031::reset() noexcept {
    load_ = match_ = 0;
    seen_ = count();
    matched_ = unmasked_ = false;
}

void Pl031::save(StateWriter& to) {
    const std::scoped_lock held{lock()};
    const StateWriter::Section section{to, kStateVersion};
    to.put(ahead_);
    to.put(load_);
    to.put(match_);
    to.put(seen_);
    to.put(matched_);
    to.put(unmasked_);
}

Result<> Pl031::restore(StateReader& from) {
    StateReader state = VMM_TRY(from.section("real-time clock", kStateVersion));
    const auto ahead = state.get<std::uint32_t>("distance to the host's time");
    const auto loaded = state.get<std::uint32_t>("load");
    const auto match = state.get<std::uint32_t>("match");
    const auto seen = state.get<std::uint32_t>("count");
    const bool matched = state.get_flag("matched");
    const bool unmasked = state.get_flag("interrupt mask");
    VMM_TRY(state.done());

    const std::scoped_lock held{lock()};
    ahead_ = ahead;
    load_ = loaded;
    match_ = match;
    seen_ = seen;
    matched_ = matched;
    unmasked_ = unmasked;
    return {};
}

}  // namespace vmm
