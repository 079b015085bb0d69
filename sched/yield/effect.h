// What a directed yield does to run queues, by policy feature and in the order that the features need.
// The queue's lock is held; times on the yielder's queue are charged up to `now`.
#pragma once

#include "sched/policy/policy.h"
#include "sched/queue/eevdf_queue.h"
#include "sched/yield/penalty.h"

namespace sched {

struct YieldContext {
  EevdfQueue& queue;
  DeboostState& deboost;
  DeboostState& credit;
  const Policy& policy;
  Vcpu& yielder;  // running on this queue
  Vcpu& target;   // waiting on this queue
  Nanos now;
  bool lent = false;  // the yielder lends its turn, and will resume
  bool sure = true;   // the target is likely to be what the yielder waits for
};

struct YieldEffects {
  Vruntime penalty{};  // that was applied
  bool credited = false;
  bool reschedule = true;  // the running vCPU is to be taken off
};

// Yielder and target on the same worker.
YieldEffects apply_local_yield(const YieldContext& context);
// The target's side, on its own worker.
YieldEffects apply_remote_yield(EevdfQueue& queue, DeboostState& credit, const Policy& policy, Vcpu& target,
                                bool sure, Nanos now);
// The yielder's side, when the target is elsewhere.
void apply_yielder_only(EevdfQueue& queue, DeboostState& deboost, const Policy& policy, Nanos now);

}  // namespace sched
