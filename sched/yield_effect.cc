#include "sched/yield_effect.h"

#include <algorithm>

namespace sched {
namespace {

Nanos slack(const Policy& policy) { return policy.features.pull ? policy.tuning.nomination_lag : Nanos{}; }

// SCHEDULING: deboost. Before the forfeit, because that lifts the yielder to its deadline and hides the gap.
Vruntime deboost(const YieldContext& c) {
  const Tuning& tuning = c.policy.tuning;
  const bool early = c.policy.features.rate_limit_first;
  if (early && !c.deboost.admit(c.now, tuning.penalty_interval)) return {};
  const auto [yielder, target] = c.queue.siblings(c.target);
  const uint32_t queued = yielder->timeline->runnable_vcpus;
  if (queued <= 1) return {};
  if (!early && !c.deboost.admit(c.now, tuning.penalty_interval)) return {};
  const Vruntime value = penalty({
      .gran = c.queue.scaled_slice(*yielder),
      .need = std::max(Vruntime{}, target->vruntime - yielder->vruntime),
      .queued = queued,
      .reverse_pair = c.deboost.record_pair(c.yielder.id, c.target.id, c.now, tuning.debounce_window),
  });
  return c.queue.penalize(*yielder, value) ? value : Vruntime{};
}

// Credit to the target; then the running vCPU's protection ends, at most once in the interval.
bool credit(EevdfQueue& queue, DeboostState& limit, const Policy& policy, Vcpu& target, Nanos now) {
  const bool credited = queue.credit(target);
  if (limit.admit(now, policy.tuning.penalty_interval)) queue.cancel_protection();
  return credited;
}

}  // namespace

YieldEffects apply_local_yield(const YieldContext& c) {
  const Features& features = c.policy.features;
  YieldEffects effects;
  if (features.buddy) c.queue.nominate(c.target, slack(c.policy));
  if (features.deboost) effects.penalty = deboost(c);
  if (features.credit) effects.credited = credit(c.queue, c.credit, c.policy, c.target, c.now);
  if (features.forfeit && !c.lent) c.queue.forfeit();
  if (features.hier) c.queue.forfeit_ancestors();
  return effects;
}

YieldEffects apply_remote_yield(EevdfQueue& queue, DeboostState& limit, const Policy& policy, Vcpu& target,
                                Nanos now) {
  YieldEffects effects;
  if (policy.features.buddy) queue.nominate(target, slack(policy));
  if (policy.features.credit) effects.credited = credit(queue, limit, policy, target, now);
  queue.cancel_protection();
  return effects;
}

void apply_yielder_only(EevdfQueue& queue, DeboostState& deboost, const Policy& policy, Nanos now) {
  // The series counts an attempt against its rate limit before it looks where the target is.
  if (policy.features.deboost && policy.features.rate_limit_first) {
    deboost.admit(now, policy.tuning.penalty_interval);
  }
  if (policy.features.forfeit) queue.forfeit();
  if (policy.features.hier) queue.forfeit_ancestors();
}

}  // namespace sched
