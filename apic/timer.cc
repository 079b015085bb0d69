#include "apic/timer.h"

#include <algorithm>
#include <limits>

namespace apic {
namespace {

using std::chrono::nanoseconds;
using Wide = unsigned __int128;

constexpr Wide kNanosPerSecond = 1'000'000'000;

// `base` + `delta`, staying at the far end of time instead of wrapping.
nanoseconds later(nanoseconds base, Wide delta) {
  const auto room =
      static_cast<Wide>(std::numeric_limits<std::int64_t>::max() - std::max<std::int64_t>(0, base.count()));
  return base + nanoseconds(static_cast<std::int64_t>(std::min(delta, room)));
}

constexpr Wide divide_up(Wide a, Wide b) { return (a + b - 1) / b; }

}  // namespace

Timer::Timer(std::uint64_t hz, std::uint64_t tsc_khz, nanoseconds min_interval)
    : hz_(hz), tsc_khz_(tsc_khz), min_interval_(min_interval) {
  // Keeps every product below within 128 bits.
  constexpr std::uint64_t kMaxHz = 1'000'000'000'000;
  require(hz > 0 && hz <= kMaxHz && tsc_khz > 0 && min_interval >= nanoseconds(0));
}

void Timer::set_mode(TimerMode mode) {
  if (mode == mode_) return;
  const auto counts = [](TimerMode m) { return m == TimerMode::kOneShot || m == TimerMode::kPeriodic; };
  if (counts(mode) && counts(mode_)) {
    // The count under way becomes the first, so that its phase is kept to the tick.
    first_ += expiries_ * initial_count_;
    expiries_ = 0;
  } else {
    disarm();
    initial_count_ = 0;
  }
  mode_ = mode;
}

void Timer::write_initial_count(std::uint32_t count, const Clock& clock) {
  if (mode_ == TimerMode::kTscDeadline) return;
  initial_count_ = count;
  running_ = count != 0 && mode_ != TimerMode::kReserved;
  loaded_at_ = clock.now;
  first_ = count;
  expiries_ = 0;
  not_before_ = nanoseconds(0);
}

std::uint32_t Timer::current_count(const Clock& clock) const {
  if (!running_) return 0;
  const Ticks elapsed = ticks_since_load(clock);
  if (elapsed < first_) return static_cast<std::uint32_t>(std::min<Ticks>(first_ - elapsed, initial_count_));
  if (mode_ != TimerMode::kPeriodic) return 0;
  return static_cast<std::uint32_t>(initial_count_ - (elapsed - first_) % initial_count_);
}

void Timer::write_divide(std::uint32_t dcr, const Clock& clock) {
  if (running_ && dcr != dcr_) {
    first_ = current_count(clock);
    loaded_at_ = clock.now;
    expiries_ = 0;
  }
  dcr_ = dcr;
}

void Timer::write_tsc_deadline(std::uint64_t deadline, const Clock& clock) {
  if (mode_ != TimerMode::kTscDeadline) return;
  tsc_deadline_ = deadline;
  tsc_host_deadline_ = tsc_time(clock);
}

nanoseconds Timer::next_expiry() const {
  return std::max(tick_time(first_ + expiries_ * initial_count_), not_before_);
}

bool Timer::expire(const Clock& clock) {
  return mode_ == TimerMode::kTscDeadline ? expire_tsc(clock) : expire_count(clock);
}

bool Timer::expire_count(const Clock& clock) {
  if (!running_) return false;
  const Ticks elapsed = ticks_since_load(clock);
  if (elapsed < first_ + expiries_ * initial_count_ || clock.now < not_before_) return false;
  if (mode_ == TimerMode::kPeriodic) {
    expiries_ = 1 + (elapsed - first_) / initial_count_;
    not_before_ = later(clock.now, static_cast<Wide>(min_interval_.count()));
  } else {
    running_ = false;
  }
  return true;
}

bool Timer::expire_tsc(const Clock& clock) {
  if (tsc_deadline_ == 0) return false;
  if (clock.tsc >= tsc_deadline_) {
    tsc_deadline_ = 0;
    return true;
  }
  // The host's clock and the TSC run apart by a few parts in a million: aim again.
  if (clock.now >= tsc_host_deadline_) tsc_host_deadline_ = tsc_time(clock);
  return false;
}

void Timer::disarm() {
  running_ = false;
  tsc_deadline_ = 0;
}

void Timer::reset() {
  disarm();
  mode_ = TimerMode::kOneShot;
  dcr_ = 0;
  initial_count_ = 0;
}

// Divide configuration: bits 3, 1 and 0 encode 2, 4, ... 128, and 111 means 1.
unsigned Timer::divisor() const {
  const unsigned code = (dcr_ & 3) | (dcr_ & 8) >> 1;
  return code == 7 ? 1 : 2u << code;
}

Timer::Ticks Timer::ticks_since_load(const Clock& clock) const {
  if (clock.now <= loaded_at_) return 0;
  const auto elapsed = static_cast<Wide>((clock.now - loaded_at_).count());
  return elapsed * hz_ / (kNanosPerSecond * divisor());
}

// Rounded up where ticks_since_load() rounds down: at this very nanosecond, and not before, it has counted
// `ticks`.
nanoseconds Timer::tick_time(Ticks ticks) const {
  return later(loaded_at_, divide_up(ticks * kNanosPerSecond * divisor(), hz_));
}

nanoseconds Timer::tsc_time(const Clock& clock) const {
  if (tsc_deadline_ <= clock.tsc) return clock.now;
  return later(clock.now, divide_up(static_cast<Wide>(tsc_deadline_ - clock.tsc) * 1'000'000, tsc_khz_));
}

}  // namespace apic
