// What a worker's one timer is armed for: the earlier of the scheduler's tick and the earliest LAPIC deadline,
// with as few system calls as will do. Arithmetic only; its user locks.
//
// Invariant: after each call the timer is pending for the instant wanted or earlier, or its
// signal is on the way. A signal that has come is told by fired(), and then a change must follow before the next
// entry. Armed too early, it makes its worker look once in vain.
#pragma once

#include <algorithm>
#include <optional>

#include "sched/base/types.h"

namespace vmm {

using sched::Nanos;

class Arming {
 public:
  // Both return the instant to arm the timer for (kForever: disarm it), or nothing if it may stay as it is.
  std::optional<Nanos> change_tick(Nanos at, Nanos now) {
    constexpr int kMemory = 8;
    usual_turn_ += (now - asked_ - usual_turn_) / kMemory;
    asked_ = now;
    tick_ = at;
    return cover(now);
  }
  std::optional<Nanos> change_alarm(Nanos at, Nanos now) {
    alarm_ = at;
    return cover(now);
  }
  // Its signal has been taken, or it could not be armed: it is not pending any more.
  void fired() {
    armed_ = sched::kForever;
    at_once_ = false;
  }
  // The timer is left behind for another one, which is not armed. True: disarm the one that is left.
  bool moves() {
    const bool pending = armed_ != sched::kForever;
    armed_ = sched::kForever;
    return pending;
  }
  // At the other one: what it is to be armed for, whatever was asked for meanwhile.
  std::optional<Nanos> arrives(Nanos now) {
    armed_ = sched::kForever;
    return cover(now);
  }
  // A signal at once, whatever else is wanted. Arming anew takes back a signal that has not been delivered, so
  // this holds until fired().
  std::optional<Nanos> fire_now(Nanos now) {
    at_once_ = true;
    return cover(now);
  }

 private:
  // The signal asked for before may come as well, if it is more than kTurns usual turns away: then another call
  // will most likely replace it in time, and no system call is needed at each switch between vCPUs that leave
  // early.
  static constexpr int kTurns = 4;

  std::optional<Nanos> cover(Nanos now) {
    const Nanos wanted = at_once_ ? Nanos{} : std::min(tick_, alarm_);
    const bool pending = armed_ != sched::kForever && armed_ > now;
    if (pending && (armed_ == wanted || (armed_ < wanted && armed_ - now > kTurns * usual_turn_)))
      return std::nullopt;
    if (wanted == sched::kForever && !pending) return std::nullopt;
    armed_ = wanted;
    return wanted;
  }

  Nanos tick_ = sched::kForever;
  Nanos alarm_ = sched::kForever;
  Nanos armed_ = sched::kForever;  // the signal that the kernel has been asked for
  bool at_once_ = false;
  Nanos asked_{};                  // when change_tick() was called last
  Nanos usual_turn_{};             // between two calls of it; a moving average
};

}  // namespace vmm
