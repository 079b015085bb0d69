// The local APIC's timer (SDM, APIC Timer): one-shot, periodic and TSC-deadline. Counts even while its LVT
// entry is masked; whether an expiry becomes an interrupt is the Lapic's business.
//
// Threads: only the holder of the vCPU's lease. Before any change of state call expire() with the present, so
// that an expiry that is due happens under the old settings.
//
// Counting is exact: elapsed ticks are derived from the host time at which the count was loaded, so neither
// late calls nor rounding make a periodic timer drift.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "apic/types.h"

namespace apic {

// Encoded as in LVT timer bits 18:17.
enum class TimerMode : std::uint8_t { kOneShot = 0, kPeriodic = 1, kTscDeadline = 2, kReserved = 3 };

class Timer {
 public:
  Timer(std::uint64_t hz, std::uint64_t tsc_khz, std::chrono::nanoseconds min_interval);

  // One-shot and periodic share the count: changing between them lets it run on (the SDM speaks of disarming;
  // processors do not, and guests rely on it). Any other change of mode disarms and clears the initial count.
  void set_mode(TimerMode mode);
  TimerMode mode() const { return mode_; }

  // Ignored in TSC-deadline mode. 0 stops the timer.
  void write_initial_count(std::uint32_t count, const Clock& clock);
  std::uint32_t initial_count() const { return initial_count_; }
  std::uint32_t current_count(const Clock& clock) const;

  // Bits 3, 1 and 0. A running count goes on from where it is at the new rate.
  void write_divide(std::uint32_t dcr, const Clock& clock);
  std::uint32_t divide() const { return dcr_; }

  // IA32_TSC_DEADLINE: reads 0 and ignores writes in the other modes. 0 disarms.
  void write_tsc_deadline(std::uint64_t deadline, const Clock& clock);
  std::uint64_t tsc_deadline() const { return tsc_deadline_; }
  // The guest's TSC has jumped: aims at an armed deadline anew.
  void tsc_changed(const Clock& clock) { tsc_host_deadline_ = tsc_time(clock); }

  // Host time of the next expiry, if armed. In TSC-deadline mode an estimate, never before the
  // truth by more than rounding; expire() refines it.
  std::optional<std::chrono::nanoseconds> deadline() const {
    if (tsc_deadline_ != 0) return tsc_host_deadline_;
    if (!running_) return std::nullopt;
    return next_expiry();
  }
  // True if it expired since the last call (periods missed count as one).
  bool expire(const Clock& clock);

  void disarm();
  void reset();

 private:
  // Wide enough for 2^63 ns at any rate without overflow.
  using Ticks = unsigned __int128;

  unsigned divisor() const;
  Ticks ticks_since_load(const Clock& clock) const;
  std::chrono::nanoseconds tick_time(Ticks ticks) const;  // host time at which that many ticks have passed
  std::chrono::nanoseconds tsc_time(const Clock& clock) const;
  std::chrono::nanoseconds next_expiry() const;
  bool expire_count(const Clock& clock);
  bool expire_tsc(const Clock& clock);

  std::uint64_t hz_;
  std::uint64_t tsc_khz_;
  std::chrono::nanoseconds min_interval_;

  TimerMode mode_ = TimerMode::kOneShot;
  std::uint32_t dcr_ = 0;
  std::uint32_t initial_count_ = 0;
  // Expiry number n (from 0) comes first_ + n * initial_count_ ticks after loaded_at_.
  bool running_ = false;
  std::chrono::nanoseconds loaded_at_{0};
  Ticks first_ = 0;
  Ticks expiries_ = 0;
  std::chrono::nanoseconds not_before_{0};  // throttle of tiny periods
  std::uint64_t tsc_deadline_ = 0;
  std::chrono::nanoseconds tsc_host_deadline_{0};
};

}  // namespace apic
