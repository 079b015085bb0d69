#include "sched/yield/effect.h"

#include <algorithm>

namespace sched {
namespace {

// Linux keeps a next buddy that is not eligible yet until it is picked, dequeued or replaced. With `pull` it
// has some slack instead, if it is likely to end the yielder's wait, and counts for one pick of each timeline: later
// it would undo a later choice. One of which nothing is known but that it was taken off takes nobody's turn: where the
// owner runs all along, that would cost other VMs a switch each time and help nobody.
Nomination nomination(const Policy& policy, bool sure) {
  if (!policy.features.pull) return Nomination({}, true);
  return Nomination(sure ? policy.tuning.nomination_lag : Nanos{});
}

// SCHEDULING: deboost. Before the forfeit, because that lifts the yielder to its deadline and hides the gap.
Vruntime deboost(const YieldContext& c) {
  const Tuning& tuning = c.policy.tuning;
  const bool early = c.policy.features.rate_limit_first;
  if (early && !c.deboost.admit(c.now, tuning.penalty_interval)) return {};
  const auto [yielder, target] = c.queue.siblings(c.target);
  const uint32_t queued = yielder->timeline->runnable_vcpus;
  if (queued <= 1) return {};
  if (!early && !c.deboost.admit(c.now, tuning.penalty_interval)) return {};
  const PenaltyInput input{
      .gran = c.queue.scaled_slice(*yielder),
      .need = std::max(Vruntime{}, target->vruntime - yielder->vruntime),
      .queued = queued,
      .reverse_pair = c.deboost.record_pair(c.yielder.id, c.target.id, c.now, tuning.debounce_window),
  };
  const Vruntime value = penalty(input, tuning);
  return c.queue.penalize(*yielder, value) ? value : Vruntime{};
}

// Where the target is ahead, nothing is left to do.
Vruntime deboost_past(const YieldContext& c) {
  const auto [yielder, target] = c.queue.siblings(c.target);
  const Vruntime value = target->vruntime - yielder->vruntime + Vruntime{1};
  return c.queue.penalize(*yielder, value) ? value : Vruntime{};
}

// SCHEDULING: credit. The worker reschedules as after any yield: for a nominee that is eligible, or if the
// running vCPU is not. That its protection ends as well, which would not happen by itself, is what the limit
// is for: once in the interval. Not counted where it makes no difference.
bool may_reschedule(EevdfQueue& queue, DeboostState& limit, const Policy& policy, Nanos now) {
  return !policy.features.credit || queue.passes_over_current() ||
         limit.admit(now, policy.tuning.penalty_interval);
}

}  // namespace

YieldEffects apply_local_yield(const YieldContext& c) {
  const Features& features = c.policy.features;
  YieldEffects effects;
  if (features.buddy) c.queue.nominate(c.target, nomination(c.policy, c.sure));
  if (features.deboost == Deboost::kOn) effects.penalty = deboost(c);
  if (features.deboost == Deboost::kPast) effects.penalty = deboost_past(c);
  if (features.credit) effects.credited = c.queue.credit(c.target, c.policy.tuning.credit_depth);
  if (features.forfeit && !c.lent) c.queue.forfeit();
  if (features.hier) c.queue.forfeit_ancestors();
  effects.reschedule = may_reschedule(c.queue, c.credit, c.policy, c.now);
  return effects;
}

YieldEffects apply_remote_yield(EevdfQueue& queue, DeboostState& limit, const Policy& policy, Vcpu& target,
                                bool sure, Nanos now) {
  YieldEffects effects;
  if (policy.features.buddy) queue.nominate(target, nomination(policy, sure));
  if (policy.features.credit) {
    queue.tick(now);  // lags as of now: what runs there was charged last at its own last event
    effects.credited = queue.credit(target, policy.tuning.credit_depth);
  }
  effects.reschedule = may_reschedule(queue, limit, policy, now);
  if (effects.reschedule) queue.cancel_protection();
  return effects;
}

void apply_yielder_only(EevdfQueue& queue, DeboostState& deboost, const Policy& policy, Nanos now) {
  // The series counts an attempt against its rate limit before it looks where the target is.
  if (policy.features.deboost == Deboost::kOn && policy.features.rate_limit_first) {
    deboost.admit(now, policy.tuning.penalty_interval);
  }
  if (policy.features.forfeit) queue.forfeit();
  if (policy.features.hier) queue.forfeit_ancestors();
}

}  // namespace sched
