// SPDX-License-Identifier: Apache-2.0
#include "rtc/rtc.hpp"

#include <algorithm>
#include <mutex>
#include <span>
#include <string_view>

namespace vmm {
namespace {

using namespace std::chrono;

constexpr std::uint64_t kIndexPort = 0;  // 8  w
constexpr std::uint64_t kDataPort = 1;   // 8 rw

// Indices of the registers.
constexpr std::uint8_t kSecond = 0x00;
constexpr std::uint8_t kMinute = 0x02;
constexpr std::uint8_t kHour = 0x04;
constexpr std::uint8_t kWeekday = 0x06;
constexpr std::uint8_t kDay = 0x07;
constexpr std::uint8_t kMonth = 0x08;
constexpr std::uint8_t kYear = 0x09;
constexpr std::uint8_t kStatusA = 0x0a;
constexpr std::uint8_t kStatusB = 0x0b;
constexpr std::uint8_t kStatusC = 0x0c;
constexpr std::uint8_t kStatusD = 0x0d;

constexpr std::uint8_t kIndexMask = 0x7f;  // bit 7 masks NMIs on a PC

constexpr std::uint8_t kPowerOnA = 0x26;     // 32.768 kHz crystal, 1024 Hz rate
constexpr std::uint8_t kPowerOnB = 0x02;     // 24 hours, BCD
constexpr std::uint8_t kBatteryGood = 0x80;  // VRT of register D

constexpr std::uint8_t kPm = 0x80;  // of the hour in 12 hour mode

// "UIP is set 244 us before the update": a guest that sees it clear has that long to read the time.
constexpr nanoseconds kUpdate = 244us;

constexpr std::uint16_t kStateVersion = 1;
/// Seconds: more than there are in the ten thousand years that the registers can show.
constexpr std::uint64_t kFarthest = 400'000'000'000;
constexpr std::uint16_t kLargestField = 0x1ff;  // more than any byte decodes to

}  // namespace

Rtc::Rtc(const Clock& clock)
    : clock_{clock}, status_a_{kPowerOnA}, status_b_{kPowerOnB}, seen_{host_time()} {}

std::uint64_t Rtc::read(Access access) noexcept {
    return access.is(kDataPort, AccessSize::Byte) ? read_register(index_) : kAllOnes;
}

void Rtc::write(Access access, std::uint64_t value) noexcept {
    if (access.is(kIndexPort, AccessSize::Byte))
        index_ = static_cast<std::uint8_t>(value & kIndexMask);
    else if (access.is(kDataPort, AccessSize::Byte))
        write_register(index_, static_cast<std::uint8_t>(value));
}

void Rtc::reset() noexcept {
    index_ = 0;
    status_a_ = StatusA{kPowerOnA};
    status_b_ = StatusB{kPowerOnB};
    seen_ = host_time();
}

std::uint8_t Rtc::read_register(std::uint8_t index) {
    switch (index) {
        case kStatusA:
            return read_status_a();
        case kStatusB:
            return status_b_.raw();
        case kStatusC:
            return take_status_c();
        case kStatusD:
            return kBatteryGood;
        default:
            break;
    }
    Fields time = now();
    const unsigned* const value = field(time, index);
    if (value == nullptr)
        return ram_[index];
    return index == kHour ? encode_hour(*value) : encode(*value);
}

void Rtc::write_register(std::uint8_t index, std::uint8_t value) {
    switch (index) {
        case kStatusA:
            status_a_ = status_a_.written(value, StatusA::kWritable);
            return;
        case kStatusB:
            write_status_b(StatusB{value});
            return;
        case kStatusC:
        case kStatusD:
            return;  // read only
        default:
            break;
    }
    Fields time = now();
    unsigned* const target = field(time, index);
    if (target == nullptr) {
        ram_[index] = value;
        return;
    }
    *target = index == kHour ? decode_hour(value) : decode(value);
    set(time);
}

std::uint8_t Rtc::read_status_a() const {
    const auto utc = clock_.utc();
    const bool soon = utc - floor<seconds>(utc) >= 1s - kUpdate;
    return status_a_.with(StatusA::update_in_progress, soon && !status_b_[StatusB::set]).raw();
}

std::uint8_t Rtc::take_status_c() {
    const auto time = host_time();
    const bool ended = time != seen_ && !status_b_[StatusB::set];
    seen_ = time;
    return StatusC{}
        .with(StatusC::update_ended, ended)
        .with(StatusC::interrupt, ended && status_b_[StatusB::update_ended_interrupt])
        .raw();
}

void Rtc::write_status_b(StatusB value) {
    const bool stood = status_b_[StatusB::set];
    const Fields time = now();
    status_b_ = value;
    if (value[StatusB::set])
        status_b_ = value.with(StatusB::update_ended_interrupt, false);
    if (stood || value[StatusB::set])
        set(time);  // hold it, or let what was held run
}

sys_seconds Rtc::host_time() const {
    return floor<seconds>(clock_.utc());
}

Rtc::Fields Rtc::now() const {
    return status_b_[StatusB::set] ? held_ : fields_of(host_time() + ahead_);
}

void Rtc::set(const Fields& fields) {
    held_ = fields;
    if (!status_b_[StatusB::set])
        ahead_ = time_of(fields) - host_time();
}

Rtc::Fields Rtc::fields_of(sys_seconds time) {
    const auto midnight = floor<days>(time);
    const year_month_day date{midnight};
    const hh_mm_ss clock{time - midnight};
    // Years beyond four digits have no place here; a host that far off gets some year.
    const auto year = static_cast<unsigned>(std::max(static_cast<int>(date.year()), 0));
    return {.second = static_cast<unsigned>(clock.seconds().count()),
            .minute = static_cast<unsigned>(clock.minutes().count()),
            .hour = static_cast<unsigned>(clock.hours().count()),
            .weekday = std::chrono::weekday{midnight}.c_encoding() + 1,
            .day = static_cast<unsigned>(date.day()),
            .month = static_cast<unsigned>(date.month()),
            .year = year % 100,
            .century = year / 100 % 100};
}

/// The nearest date there is. The weekday follows from it.
sys_seconds Rtc::time_of(const Fields& fields) {
    const year y{static_cast<int>(fields.century % 100 * 100 + fields.year % 100)};
    const month m{std::clamp(fields.month, 1U, 12U)};
    const day last = year_month_day_last{y, month_day_last{m}}.day();
    const day d{std::clamp(fields.day, 1U, static_cast<unsigned>(last))};
    return sys_days{y / m / d} + hours{fields.hour % 24} + minutes{fields.minute % 60} +
           seconds{fields.second % 60};
}

/// None: the index is RAM, or an alarm, which is as good as RAM.
unsigned* Rtc::field(Fields& fields, std::uint8_t index) {
    switch (index) {
        case kSecond:
            return &fields.second;
        case kMinute:
            return &fields.minute;
        case kHour:
            return &fields.hour;
        case kWeekday:
            return &fields.weekday;
        case kDay:
            return &fields.day;
        case kMonth:
            return &fields.month;
        case kYear:
            return &fields.year;
        case kCentury:
            return &fields.century;
        default:
            return nullptr;
    }
}

std::uint8_t Rtc::encode(unsigned value) const {
    if (status_b_[StatusB::binary])
        return static_cast<std::uint8_t>(value);
    return static_cast<std::uint8_t>(value / 10 << 4U | value % 10);
}

unsigned Rtc::decode(std::uint8_t value) const {
    if (status_b_[StatusB::binary])
        return value;
    return (value >> 4U) * 10U + (value & 0x0fU);
}

std::uint8_t Rtc::encode_hour(unsigned hour) const {
    if (status_b_[StatusB::hours_24])
        return encode(hour);
    const unsigned of_half = hour % 12 == 0 ? 12 : hour % 12;  // 12, 1, 2, ... 11
    return static_cast<std::uint8_t>(encode(of_half) | (hour >= 12 ? kPm : 0U));
}

unsigned Rtc::decode_hour(std::uint8_t value) const {
    if (status_b_[StatusB::hours_24])
        return decode(value);
    const unsigned of_half = decode(value & static_cast<std::uint8_t>(~kPm)) % 12;
    return (value & kPm) != 0 ? of_half + 12 : of_half;
}

void Rtc::save(StateWriter& to) {
    const std::scoped_lock held{lock()};
    const StateWriter::Section section{to, kStateVersion};
    to.put(index_);
    to.put(status_a_.raw());
    to.put(status_b_.raw());
    to.put(kFarthest + static_cast<std::uint64_t>(ahead_.count()));
    save_fields(to, held_);
    to.put(host_time() != seen_);
    to.put_bytes(std::as_bytes(std::span{ram_}));
}

Result<> Rtc::restore(StateReader& from) {
    StateReader state = VMM_TRY(from.section("clock", kStateVersion));
    const auto index = state.get<std::uint8_t>("index", kIndexMask);
    const StatusA status_a{state.get<std::uint8_t>("register A", StatusA::kWritable)};
    const StatusB status_b{state.get<std::uint8_t>("register B")};
    state.require(!status_b[StatusB::set] || !status_b[StatusB::update_ended_interrupt],
                  "register B", "has UIE with SET");
    const auto ahead = state.get<std::uint64_t>("distance to the host's time", 2 * kFarthest);
    const Fields stands = restore_fields(state);
    const bool update_ended = state.get_flag("update ended");
    std::array<std::uint8_t, 128> ram{};
    state.get_bytes(std::as_writable_bytes(std::span{ram}));
    VMM_TRY(state.done());

    const std::scoped_lock held{lock()};
    index_ = index;
    status_a_ = status_a;
    status_b_ = status_b;
    ahead_ = seconds{static_cast<std::int64_t>(ahead) - static_cast<std::int64_t>(kFarthest)};
    held_ = stands;
    seen_ = host_time() - (update_ended ? 1s : 0s);
    ram_ = ram;
    return {};
}

void Rtc::save_fields(StateWriter& to, const Fields& fields) {
    for (const unsigned value : {fields.second, fields.minute, fields.hour, fields.weekday,
                                 fields.day, fields.month, fields.year, fields.century})
        to.put(static_cast<std::uint16_t>(value));
}

Rtc::Fields Rtc::restore_fields(StateReader& from) {
    const auto field = [&](std::string_view name) {
        return unsigned{from.get<std::uint16_t>(name, kLargestField)};
    };
    Fields fields;
    fields.second = field("second");
    fields.minute = field("minute");
    fields.hour = field("hour");
    fields.weekday = field("weekday");
    fields.day = field("day");
    fields.month = field("month");
    fields.year = field("year");
    fields.century = field("century");
    return fields;
}

}  // namespace vmm
