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
  struct Config {
    int32_t sure = 4;           // score from which on it foretells a wait
    int32_t most = 8;           // where the score saturates
    uint32_t probe_every = 16;  // foretold waits; one of them is said to be none
  };
  SaturatingPredictor() = default;
  explicit SaturatingPredictor(const Config& config) : config_(config) {}

  // It sent to a receiver that does not run. True: it will busy-wait, by all that is known. Now and then the
  // answer is no all the same, to see whether it still does.
  bool sends() {
    if (std::exchange(open_, false)) score_ = std::max(score_ - 1, 0);
    if (score_ >= config_.sure && ++foretold_ % config_.probe_every != 0) return true;
    open_ = true;
    return false;
  }
  // As if nothing had been seen.
  void forget() { *this = SaturatingPredictor(config_); }
  // It is known to wait for those to whom it sends.
  bool sure() const { return score_ >= config_.sure; }
  // It busy-waits for an acknowledgement.
  void waits() {
    if (std::exchange(open_, false)) score_ = std::min(score_ + 1, config_.most);
  }

 private:
  Config config_;
  bool open_ = false;  // it sent, and has not been seen to wait since
  int32_t score_ = 0;
  uint32_t foretold_ = 0;
};

}  // namespace sched
