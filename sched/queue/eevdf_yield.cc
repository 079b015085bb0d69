// What a directed yield does to an EEVDF queue, feature by feature. See yield/effect.cc for the order and the
// rules by which a policy uses these.
#include <algorithm>

#include "sched/base/check.h"
#include "sched/queue/eevdf_queue.h"

namespace sched {
namespace {

uint32_t depth_of(const Entity* entity) {
  uint32_t depth = 0;
  for (; entity->timeline->owner() != nullptr; entity = entity->timeline->owner()) ++depth;
  return depth;
}

}  // namespace

void EevdfQueue::nominate(Vcpu& target, Nomination nomination) {
  for (Entity* e = &target; e != nullptr; e = e->timeline->owner()) {
    e->timeline->nominate(*e, Nomination(resolved(nomination.slack, *e), nomination.lasts));
  }
}

bool EevdfQueue::passes_over_current() const {
  // Between two turns nobody runs: the worker is about to choose, and chooses freely.
  if (current_ == nullptr || turn_over_) return true;
  for (const Timeline* timeline = &root_; timeline != nullptr; timeline = timeline->current()->own) {
    if (timeline->passes_over_current()) return true;
  }
  return false;
}

void EevdfQueue::forfeit() {
  Entity& e = *current_;
  if (!e.timeline->eligible(e)) return;
  e.timeline->advance_current(e.deadline - e.vruntime);
  new_request(e, *current_);
}

// A reviewer's counter-proposal to the penalty: every ancestor pays for the part of its queue that yielded.
void EevdfQueue::forfeit_ancestors() {
  int64_t weight = current_->weight.value;
  for (Entity* e = current_->timeline->owner(); e != nullptr && weight > 0; e = e->timeline->owner()) {
    if (!e->timeline->eligible(*e)) return;
    const int64_t load = e->own->load().value;
    e->timeline->advance_current(scale(scaled_slice(*e), weight, load));
    if (e->vruntime >= e->deadline) new_request(*e, *current_);
    weight = e->weight.value * weight / load;
  }
}

EevdfQueue::Siblings EevdfQueue::siblings(Vcpu& target) const {
  Entity* yielder = current_;
  Entity* sibling = &target;
  uint32_t yielder_depth = depth_of(yielder);
  uint32_t sibling_depth = depth_of(sibling);
  for (; yielder_depth > sibling_depth; --yielder_depth) yielder = yielder->timeline->owner();
  for (; sibling_depth > yielder_depth; --sibling_depth) sibling = sibling->timeline->owner();
  while (yielder->timeline != sibling->timeline) {
    yielder = yielder->timeline->owner();
    sibling = sibling->timeline->owner();
  }
  return {yielder, sibling};
}

bool EevdfQueue::penalize(Entity& yielder, Vruntime penalty) {
  const Vruntime slice = scaled_slice(yielder);
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  if (penalty.ticks <= 0 || yielder.vruntime.ticks > kMax - penalty.ticks - slice.ticks) return false;
  SCHED_DCHECK(yielder.timeline->current() == &yielder);
  yielder.timeline->advance_current(penalty);
  yielder.deadline = yielder.vruntime + slice;
  return true;
}

// The margin: a slice / full_depth for each vCPU queued at that level, at most one slice. A deeper queue has
// more entities that could be picked first, so the target needs more lag to come to its turn in the same
// time; one slice stays below the lag that placement itself may grant (lag_limit_slices ≥ 1).
//
// With total weight W and own weight w, moving the entity also moves the average. Seen from the others'
// average A, the lag is m exactly when vruntime = A − m · W / (W − w).
bool EevdfQueue::credit(Vcpu& target, int64_t full_depth) {
  bool moved = false;
  for (Entity* e = &target; e != nullptr; e = e->timeline->owner()) {
    Timeline& timeline = *e->timeline;
    if (timeline.current() == e || timeline.eligible(*e)) continue;
    const int64_t total = timeline.load().value;
    const int64_t others = total - e->weight.value;
    SCHED_DCHECK(others > 0);  // alone, it would be eligible
    const int64_t depth = std::min<int64_t>(timeline.runnable_vcpus, full_depth);
    const Vruntime margin = scale(scaled_slice(*e), depth, full_depth);
    const Vruntime average = timeline.average();
    // One credit at a time, and paid back: the next comes when the average has passed where the entity stood
    // before the last by as much as that gave. So credits at most double what an entity gets. Without this
    // bound, waiters that credit each other keep a lock holder from running for ever.
    if (average < e->credit_floor) continue;
    const Vruntime others_average = average + scale(average - e->vruntime, e->weight.value, others);
    const Vruntime vruntime = others_average - scale(margin, total, others);
    e->credit_floor = e->vruntime + (e->vruntime - vruntime);
    timeline.replace(*e, vruntime, vruntime + e->request, e->weight);
    moved = true;
  }
  return moved;
}

}  // namespace sched
