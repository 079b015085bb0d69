// Does a vCPU wait for the acknowledgements of the IPIs that it sends? A TLB shootdown does, a reschedule IPI
// does not, and nothing but what the vCPU did before tells them apart.
//
// Belongs to the vCPU; the worker that runs it calls.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

namespace sched {

class SaturatingPredictor {
 public:
  // It sent to a receiver that does not run. True: it will busy-wait, by all that is known. Now and then the
  // answer is no all the same, to see whether it still does.
  bool sends() {
    if (std::exchange(open_, false)) score_ = std::max(score_ - 1, 0);
    if (score_ >= kSure && ++foretold_ % kProbeEvery != 0) return true;
    open_ = true;
    return false;
  }
  // It is known to wait for those to whom it sends.
  bool sure() const { return score_ >= kSure; }
  // It busy-waits for an acknowledgement.
  void waits() {
    if (std::exchange(open_, false)) score_ = std::min(score_ + 1, kMost);
  }

 private:
  static constexpr int kSure = 4;
  static constexpr int kMost = 8;
  static constexpr uint32_t kProbeEvery = 16;

  bool open_ = false;  // it sent, and has not been seen to wait since
  int score_ = 0;
  uint32_t foretold_ = 0;
};

}  // namespace sched
