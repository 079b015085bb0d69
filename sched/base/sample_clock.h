// When a worker looks whether the vCPU that it runs busy-waits, where guests do not say so. A look ends the guest's
// run and so has its cost. One that finds a busy wait takes nothing from anybody; those that find none take no
// more than one part in kShare of the worker's time in the mean: half of that by looking regularly, the rest, which is
// saved up, in the few looks after one that has found something, because one wait that is ended is often followed by
// another.
//
// Belongs to one worker, no thread safety.
#pragma once

#include <algorithm>

#include "sched/base/types.h"

namespace sched {

class SampleClock {
 public:
  // `cost` of a look; 0: there are none.
  explicit SampleClock(Nanos cost = {}) : cost_(cost), saved_(cost * kMostSaved) {}

  // The next look at whatever runs; kForever while nobody waits for this worker (`turn_end`).
  Nanos next(Nanos turn_end) const {
    return cost_ == Nanos{} || turn_end == kForever ? kForever : next_;
  }
  bool is_due(Nanos now, Nanos turn_end) const { return now >= next(turn_end); }

  // There is nothing new to see: the guest has not run.
  void missed(Nanos now) { next_ = now + std::max(kShortest, cost_ * kSoon); }
  void looked(Nanos now, bool found) {
    saved_ = std::min(cost_ * kMostSaved, saved_ + (now - last_) / kShare);
    if (!found) saved_ = std::max(Nanos{}, saved_ - cost_);
    since_found_ = found ? 0 : since_found_ + 1;
    const bool soon = since_found_ < kFruitless && saved_ >= cost_;
    last_ = now;
    next_ = now + (soon ? std::max(kShortest, cost_ * kSoon) : cost_ * kRegular);
  }

 private:
  static constexpr int64_t kShare = 100;
  static constexpr int64_t kRegular = 2 * kShare;  // costs from one look to the next
  static constexpr int64_t kSoon = 4;
  static constexpr Nanos kShortest{50'000};  // from one to the next: what a critical section and a bit of work last
  static constexpr int64_t kFruitless = 4;   // looks: after so many in a row they are regular again
  static constexpr int64_t kMostSaved = 64;  // costs

  Nanos cost_;
  Nanos saved_;
  Nanos last_{};
  Nanos next_{};
  int64_t since_found_ = kFruitless;
};

}  // namespace sched
