// Weights that follow load: of groups, and on a flat queue of vCPUs.
#include <algorithm>

#include "sched/queue/eevdf_queue.h"

namespace sched {

// The lag it left with is as much service as then.
void EevdfQueue::enqueue_flat(Vcpu& vcpu) {
  flat_->join(vcpu);
  const Weight weight = flat_->weight_of(vcpu);
  vcpu.lag = scale(vcpu.lag, vcpu.weight.value, weight.value);
  vcpu.weight = weight;
  ++root_.runnable_vcpus;
  place(vcpu, vcpu, root_);
  root_.join(vcpu);
}

// Keeps the entity's lag in real service and rescales its request.
void EevdfQueue::reweigh(Entity& entity, Weight weight) {
  const Vruntime average = entity.timeline->average();
  const int64_t from = entity.weight.value;
  const Vruntime limit = to_virtual(resolved(entity.slice, entity) * constants_.lag_limit_slices, weight);
  // Only what it is owed is bounded, as when it leaves: siblings that come and go change the share, and a
  // debt that was cut each time would soon be forgiven.
  const Vruntime lag = std::min(scale(average - entity.vruntime, from, weight.value), limit);
  // At least a tick: a deadline lies ahead, or a turn could end at the instant at which it begins.
  constexpr Vruntime kTick{1};
  const Vruntime rest = std::max(kTick, scale(entity.deadline - entity.vruntime, from, weight.value));
  entity.request = std::max(kTick, scale(entity.request, from, weight.value));
  entity.timeline->replace(entity, average - lag, average - lag + rest, weight);
}

Weight EevdfQueue::load_of(const Vcpu& vcpu) const {
  // The vCPU's part of its chain's weight at the root.
  int64_t part = vcpu.weight.value;
  for (const Entity* e = &vcpu; e->timeline->owner() != nullptr; e = e->timeline->owner()) {
    part = e->timeline->owner()->weight.value * part / std::max<int64_t>(1, e->timeline->load().value);
  }
  return {part};
}

}  // namespace sched
