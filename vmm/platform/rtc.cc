#include "vmm/platform/rtc.h"

#include <algorithm>
#include <chrono>

#include "vmm/check.h"

namespace vmm {
namespace {

enum Register : uint8_t {
  kSeconds = 0,
  kSecondsAlarm = 1,
  kMinutes = 2,
  kMinutesAlarm = 3,
  kHours = 4,
  kHoursAlarm = 5,
  kWeekday = 6,
  kDay = 7,
  kMonth = 8,
  kYear = 9,
  kA = 10,
  kB = 11,
  kC = 12,
  kD = 13,
  kCentury = 0x32,
};

constexpr uint8_t kUpdateInProgress = 0x80;
constexpr uint8_t kDividerReset = 0x60;
enum B : uint8_t {
  kSet = 0x80,
  kPeriodic = 0x40,
  kAlarm = 0x20,
  kUpdate = 0x10,
  kBinary = 0x04,
  k24Hours = 0x02
};
// Register C's flags lie where register B's enables do.
constexpr uint8_t kCauses = kPeriodic | kAlarm | kUpdate;
constexpr uint8_t kIrqFlag = 0x80;
constexpr uint8_t kValidRam = 0x80;
constexpr uint8_t kAfternoon = 0x80;
constexpr uint8_t kAnyAlarm = 0xc0;  // these two bits set: matches always

constexpr Nanos kSecond{1'000'000'000};
constexpr Nanos kFirstUpdate{500'000'000};  // after the divider's reset
constexpr Nanos kUpdateNotice{244'000};  // UIP goes up so long before the time changes

}  // namespace

Rtc::Rtc(int64_t utc, Nanos now) : base_utc_(utc), base_at_(now), seen_(now) { cmos_[kD] = kValidRam; }

void Rtc::set_cmos(uint8_t index, uint8_t value) {
  KVMUX_CHECK(index > kD && index < cmos_.size(), "CMOS memory lies above the clock's registers");
  cmos_[index] = value;
}

// Register A's DV bits, data sheet, table 4: 010 runs from the PC's crystal, 11x hold the divider in reset.
bool Rtc::divider_in_reset() const { return (a_ & kDividerReset) == kDividerReset; }

int64_t Rtc::utc(Nanos now) const {
  return divider_in_reset() ? base_utc_ : base_utc_ + (now - base_at_) / kSecond;
}

Nanos Rtc::second_start(int64_t utc) const { return base_at_ + (utc - base_utc_) * kSecond; }

Rtc::Fields Rtc::fields(int64_t utc) const {
  using namespace std::chrono;
  const sys_seconds at{seconds(utc)};
  const sys_days today = floor<days>(at);
  const year_month_day date(today);
  const hh_mm_ss time(at - today);
  return {.second = static_cast<int>(time.seconds().count()),
          .minute = static_cast<int>(time.minutes().count()),
          .hour = static_cast<int>(time.hours().count()),
          .weekday = static_cast<int>(weekday(today).c_encoding()) + 1,
          .day = static_cast<int>(static_cast<unsigned>(date.day())),
          .month = static_cast<int>(static_cast<unsigned>(date.month())),
          .year = static_cast<int>(date.year())};
}

void Rtc::set_fields(const Fields& f, Nanos now) {
  using namespace std::chrono;
  const auto month_number = static_cast<unsigned>(std::clamp(f.month, 1, 12));
  const auto day_number = static_cast<unsigned>(std::max(f.day, 1));
  const sys_days date = sys_days(year(f.year) / month(month_number) / 1) + days(day_number - 1);
  const auto time = hours(f.hour) + minutes(f.minute) + seconds(f.second);
  base_utc_ = (date.time_since_epoch() + time) / seconds(1);
  if (!divider_in_reset()) base_at_ += (now - base_at_) / kSecond * kSecond;  // the divider runs on
}

uint8_t Rtc::encode(int value) const {
  return static_cast<uint8_t>((b_ & kBinary) != 0 ? value : value / 10 << 4 | value % 10);
}

int Rtc::decode(uint8_t value) const {
  return (b_ & kBinary) != 0 ? value : (value >> 4) * 10 + (value & 15);
}

uint8_t Rtc::encode_hour(int hour) const {
  if ((b_ & k24Hours) != 0) return encode(hour);
  const uint8_t twelve = encode((hour + 11) % 12 + 1);
  return hour >= 12 ? twelve | kAfternoon : twelve;
}

int Rtc::decode_hour(uint8_t value) const {
  if ((b_ & k24Hours) != 0) return decode(value);
  const int twelve = decode(value & 0x7f) % 12;
  return (value & kAfternoon) != 0 ? twelve + 12 : twelve;
}

uint8_t Rtc::read_time(uint8_t index, Nanos now) const {
  const Fields f = frozen_ ? *frozen_ : fields(utc(now));
  switch (index) {
    case kSeconds:
      return encode(f.second);
    case kMinutes:
      return encode(f.minute);
    case kHours:
      return encode_hour(f.hour);
    case kWeekday:
      return encode(f.weekday);
    case kDay:
      return encode(f.day);
    case kMonth:
      return encode(f.month);
    case kYear:
      return encode(f.year % 100);
    default:
      return encode(f.year / 100);
  }
}

void Rtc::write_time(uint8_t index, uint8_t value, Nanos now) {
  Fields f = frozen_ ? *frozen_ : fields(utc(now));
  switch (index) {
    case kSeconds:
      f.second = decode(value);
      break;
    case kMinutes:
      f.minute = decode(value);
      break;
    case kHours:
      f.hour = decode_hour(value);
      break;
    case kWeekday:
      return;  // follows from the date
    case kDay:
      f.day = decode(value);
      break;
    case kMonth:
      f.month = decode(value);
      break;
    case kYear:
      f.year = f.year / 100 * 100 + decode(value) % 100;
      break;
    default:
      f.year = decode(value) % 100 * 100 + f.year % 100;
      break;
  }
  if (frozen_) {
    frozen_ = f;
  } else {
    set_fields(f, now);
  }
}

void Rtc::write_a(uint8_t value, Nanos now) {
  const bool was_in_reset = divider_in_reset();
  const int64_t time = utc(now);
  a_ = value & 0x7f;
  if (divider_in_reset() == was_in_reset) return;
  base_utc_ = time;
  base_at_ = was_in_reset ? now - (kSecond - kFirstUpdate) : now;
}

void Rtc::write_b(uint8_t value, Nanos now) {
  const bool set = (value & kSet) != 0;
  if (set && !frozen_) frozen_ = fields(utc(now));
  if (!set && frozen_) {
    set_fields(*frozen_, now);
    frozen_.reset();
  }
  b_ = set ? static_cast<uint8_t>(value & ~kUpdate) : value;
}

uint8_t Rtc::read_a(Nanos now) const {
  if (frozen_ || divider_in_reset()) return a_;
  const Nanos left = second_start(utc(now) + 1) - now;
  return left <= kUpdateNotice ? a_ | kUpdateInProgress : a_;
}

uint8_t Rtc::take_c() {
  const uint8_t flags = interrupt_line() ? c_ | kIrqFlag : c_;
  c_ = 0;
  return flags;
}

uint8_t Rtc::read(uint16_t port, Nanos now) {
  if (port == 0x70) return 0xff;  // write-only
  advance(now);
  switch (index_) {
    case kA:
      return read_a(now);
    case kB:
      return b_;
    case kC:
      return take_c();
    case kSecondsAlarm:
    case kMinutesAlarm:
    case kHoursAlarm:
      return alarm_[index_ / 2];
    default:
      return index_ < kA || index_ == kCentury ? read_time(index_, now) : cmos_[index_];
  }
}

void Rtc::write(uint16_t port, uint8_t value, Nanos now) {
  if (port == 0x70) {
    index_ = value & 0x7f;  // bit 7 masks NMIs, of which this board has none
    return;
  }
  advance(now);
  switch (index_) {
    case kA:
      return write_a(value, now);
    case kB:
      return write_b(value, now);
    case kC:
    case kD:
      return;  // read-only
    case kSecondsAlarm:
    case kMinutesAlarm:
    case kHoursAlarm:
      alarm_[index_ / 2] = value;
      return;
    default:
      if (index_ < kA || index_ == kCentury) return write_time(index_, value, now);
      cmos_[index_] = value;
  }
}

bool Rtc::alarm_matches(int64_t at) const {
  const Fields f = fields(at);
  const auto matches = [](uint8_t alarm, uint8_t value) {
    return (alarm & kAnyAlarm) == kAnyAlarm || alarm == value;
  };
  return matches(alarm_[0], encode(f.second)) && matches(alarm_[1], encode(f.minute)) &&
         matches(alarm_[2], encode_hour(f.hour));
}

// An alarm comes round at least once a day.
bool Rtc::alarm_between(int64_t after, int64_t until) const {
  constexpr int64_t kDaySeconds = 86400;
  for (int64_t at = std::max(after, until - kDaySeconds) + 1; at <= until; ++at) {
    if (alarm_matches(at)) return true;
  }
  return false;
}

// Data sheet, table 5: rates 1 and 2 repeat 8 and 9.
std::optional<Nanos> Rtc::period() const {
  unsigned rate = a_ & 0xf;
  if (rate == 0 || (a_ & 0x70) != 0x20) return std::nullopt;
  if (rate <= 2) rate += 7;
  return Nanos((kSecond.count() << (rate - 1)) / 32768);
}

void Rtc::advance(Nanos now) {
  if (now <= seen_) return;
  if (const auto length = period(); length && now / *length != seen_ / *length) c_ |= kPeriodic;
  if (!frozen_ && utc(now) != utc(seen_)) {
    c_ |= kUpdate;
    if ((c_ & kAlarm) == 0 && alarm_between(utc(seen_), utc(now))) c_ |= kAlarm;
  }
  seen_ = now;
}

bool Rtc::interrupt_line() const { return (c_ & b_ & kCauses) != 0; }

std::optional<Nanos> Rtc::next_event() const {
  if (interrupt_line()) return std::nullopt;  // until register C is read
  std::optional<Nanos> next;
  if ((b_ & kPeriodic) != 0) {
    if (const auto length = period()) next = (seen_ / *length + 1) * *length;
  }
  if ((b_ & (kAlarm | kUpdate)) != 0 && !frozen_ && !divider_in_reset()) {
    const Nanos update = second_start(utc(seen_) + 1);
    next = next ? std::min(*next, update) : update;
  }
  return next;
}

}  // namespace vmm
