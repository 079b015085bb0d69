// What the rules for candidates share: the walk over a VM, the turns of spinning vCPUs, and the tries.
//
// A rule is a function of this object in a file of its own, yield/candidates/NAME.cc, with a line in
// policy/rules.h. It tries candidates in its order, by round(), most() or attempt(), and says which one was
// yielded to. Runs on the yielder's worker without any lock: see candidate.h.
#pragma once

#include <optional>

#include "sched/policy/policy.h"
#include "sched/yield/candidate.h"

namespace sched {

class Scan {
 public:
  Scan(const Policy& policy, const SpinScan& spin, YieldAttempt& attempt)
      : policy_(policy), spin_(spin), attempt_(attempt), tries_(policy.tuning.yield_tries) {}

  const Policy& policy() const { return policy_; }
  const SpinScan& spin() const { return spin_; }

  static bool waits(Status::View vcpu) { return vcpu.state() == RunState::kQueued; }

  // Once round the VM from the one that was boosted last, to the first waiting vCPU for which `good(index,
  // view)` gives a reason. One that spins itself gets its turn every second time.
  template <class Good>
  std::optional<uint32_t> round(Good good) {
    begin_round();
    const uint32_t n = static_cast<uint32_t>(spin_.vcpus.size());
    for (uint32_t step = 1, index = spin_.start_after; step <= n; ++step) {
      if (++index >= n) index = 0;
      if (index == spin_.me) continue;
      const Status::View vcpu = spin_.vcpus[index].view();
      if (!waits(vcpu)) continue;
      const std::optional<YieldReason> reason = good(index, vcpu);
      if (!reason) continue;
      if (vcpu.spinning() && !spin_.vcpus[index].take_yield_turn()) continue;
      if (attempt(index, *reason)) return index;
      if (gave_up_) break;
    }
    return std::nullopt;
  }

  // To the waiting vCPU that qualifies(index, view) and has the largest key(progress).
  template <class Qualifies, class Key>
  std::optional<uint32_t> most(Qualifies qualifies, Key key, YieldReason reason) {
    std::optional<uint32_t> best;
    int64_t best_key = 0;
    for (uint32_t i = 0; i < spin_.vcpus.size(); ++i) {
      const Status::View vcpu = spin_.vcpus[i].view();
      if (i == spin_.me || !waits(vcpu) || !qualifies(i, vcpu)) continue;
      const int64_t k = key(spin_.progress[i]);
      if (best && k <= best_key) continue;
      best = i;
      best_key = k;
    }
    if (best && !attempt(*best, reason)) best.reset();
    return best;
  }

  // Whoever the yielder is known to wait for, each with the end of its own wait chain first.
  std::optional<uint32_t> awaited();

  // Yields to this one, if it waits.
  bool attempt(uint32_t index, YieldReason reason);

 private:
  void begin_round();
  uint32_t chain_end(uint32_t index) const;

  const Policy& policy_;
  const SpinScan& spin_;
  YieldAttempt& attempt_;
  int64_t tries_;
  bool gave_up_ = false;
};

namespace candidates {
#define SCHED_RULE_DECLARED(value, name, ...) std::optional<uint32_t> name(Scan& scan);
SCHED_CANDIDATE_RULES(SCHED_RULE_DECLARED)
#undef SCHED_RULE_DECLARED
}  // namespace candidates

}  // namespace sched
