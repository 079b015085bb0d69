// The deboost penalty (series v2): how far a directed yield Y → T moves the yielder's vruntime at the level
// where the two chains are siblings. Pure arithmetic in 64 bits; every sum and product saturates at the
// largest value.
#pragma once

#include <cstdint>

#include "sched/base/types.h"
#include "sched/policy/tuning.h"

namespace sched {

struct PenaltyInput {
  Vruntime gran;      // Y's slice scaled by its weight at that level, > 0
  Vruntime need;      // max(0, vruntime(T) − vruntime(Y))
  uint32_t queued;    // runnable vCPUs at and below that level, the running one included; ≥ 2
  bool reverse_pair;  // the last pair here was T → Y, within the debounce window
};

// In [gran, cap · gran], cap by queue length: Tuning::penalty_cap_2 and so on; more than twelve → 1.
Vruntime penalty(const PenaltyInput& input, const Tuning& tuning);

// The worker's memory between two penalties. Guarded by the worker's lock.
class DeboostState {
 public:
  // True, and counted as used, if no use was within the interval before now.
  bool admit(Nanos now, Nanos interval);
  // Would admit() say yes? Changes nothing.
  bool admissible(Nanos now, Nanos interval) const { return !used_ || now - last_use_ > interval; }
  // True if the pair recorded last is (target → yielder) and no older than the window; records (yielder →
  // target).
  bool record_pair(VcpuId yielder, VcpuId target, Nanos now, Nanos window);

 private:
  bool used_ = false;
  Nanos last_use_{};
  VcpuId last_yielder_ = kNoVcpu;
  VcpuId last_target_ = kNoVcpu;
  Nanos last_pair_{};
};

}  // namespace sched
