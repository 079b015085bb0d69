#include "sched/queue/eevdf_queue.h"

#include <algorithm>

#include "sched/base/check.h"

namespace sched {
namespace {

Entity* parent_of(const Entity& entity) { return entity.timeline->owner(); }

// In order of deadlines, groups by their members; those who compete with the running one come last. Every
// queued group has somebody waiting, so the walk is as short as `out`.
uint32_t waiting_below(const Timeline& timeline, std::span<Vcpu*> out) {
  uint32_t n = 0;
  for (Entity* e = timeline.tree().first(); e != nullptr && n < out.size(); e = Tree::next(*e)) {
    if (e->is_group()) {
      n += waiting_below(*e->own, out.subspan(n));
    } else {
      out[n++] = &vcpu_of(*e);
    }
  }
  const Entity* running = timeline.current();
  if (running != nullptr && running->is_group()) n += waiting_below(*running->own, out.subspan(n));
  return n;
}

}  // namespace

EevdfQueue::EevdfQueue(Hierarchy& hierarchy, const EevdfConstants& constants, uint64_t seed)
    : hierarchy_(hierarchy),
      resolution_(hierarchy.resolution()),
      constants_(constants),
      rng_(seed),
      slots_(constants.flat ? 0 : hierarchy.size()),
      slot_of_(hierarchy.size()) {
  if (constants.flat) flat_.emplace(hierarchy);
}

const Timeline& EevdfQueue::timeline(GroupId group) const {
  static const Timeline never_used;
  const GroupEntity* slot = slot_of_[index_of(group)];
  return slot != nullptr ? slot->timeline : never_used;
}

Timeline& EevdfQueue::timeline_above(GroupId parent) {
  if (parent == kRootGroup) return root_;
  GroupEntity*& slot = slot_of_[index_of(parent)];
  if (slot == nullptr) {
    slot = &slots_[slots_taken_++];
    slot->group = parent;
    slot->tie = index_of(parent);
    slot->weight = hierarchy_.weight(parent);
    slot->slice = hierarchy_.slice(parent);
  }
  return slot->timeline;
}

// Of a request, before jitter. Where a round of all vCPUs here would take longer than its limit, turns are
// shorter, so that nobody's wait grows with their number until turns are as short as they may be. Linux did
// so before EEVDF (sched_latency_ns, sched_min_granularity_ns).
Nanos EevdfQueue::turn_length(const Entity& entity, const Vcpu& vcpu) const {
  const Nanos whole = entity.slice * vcpu.slices_per_request;
  const int64_t all = root_.runnable_vcpus;
  const auto cut = [&](Nanos length, Nanos round, Nanos shortest) {
    if (round == Nanos{} || length * all <= round) return length;
    return std::min(length, std::max(shortest, round / all));
  };
  const Nanos usual = cut(whole, vcpu.round_limit, vcpu.shortest_request);
  const bool ipi_waits = charged_until_ < ipi_waited_ + vcpu.ipi_round_limit;
  return ipi_waits ? cut(usual, vcpu.ipi_round_limit, vcpu.shortest_for_ipi) : usual;
}

// A request of jittered length, from the entity's vruntime on. The vCPU: the entity itself, or the member for
// whose sake the group asks.
void EevdfQueue::new_request(Entity& entity, const Vcpu& vcpu) {
  const int64_t spread = constants_.slice_jitter_permille;
  const int64_t permille =
      spread == 0 ? 1000
                  : 1000 - spread + static_cast<int64_t>(rng_.below(2 * static_cast<uint64_t>(spread) + 1));
  entity.request = virtual_of(turn_length(entity, vcpu) * permille / 1000, entity);
  entity.deadline = entity.vruntime + entity.request;
}

// The lag that an entity keeps while it is off this queue. A group takes all its debt along: it leaves
// whenever the last of its vCPUs here is pulled to another worker, and would be forgiven the rest each time.
Vruntime EevdfQueue::bounded(Vruntime lag, const Entity& entity) const {
  const Vruntime limit = virtual_of(entity.slice * constants_.lag_limit_slices, entity);
  return entity.is_group() ? std::min(lag, limit) : std::clamp(lag, -limit, limit);
}

// Where an entity that joins stands: at the average less the lag it left with. Because the joining entity
// itself pulls the average towards it, the lag is scaled by (W + w) / W beforehand (Linux: place_entity). A
// debt is worked off while away as the average of those who stayed moves on, exactly as if it had stayed too.
void EevdfQueue::place(Entity& entity, const Vcpu& vcpu, Timeline& timeline) {
  const Vruntime average = timeline.average();
  Vruntime lag = entity.lag;
  if (timeline.members() > 0) {
    lag = scale(lag, timeline.load().value + entity.weight.value, timeline.load().value);
  }
  if (lag < Vruntime{} && entity.timeline == &timeline) {
    lag = std::min(Vruntime{}, lag + std::max(Vruntime{}, average - entity.left_at));
  }
  entity.vruntime = average - bounded(lag, entity);
  // A credit is not paid back by halting or by moving: what is left of it counts from where the average is
  // now.
  if (entity.timeline != &timeline && entity.credit_floor != kNoCredit) {
    const Vruntime unpaid = std::max(Vruntime{}, entity.credit_floor - entity.left_at);
    entity.credit_floor = unpaid == Vruntime{} ? kNoCredit : average + unpaid;
  }
  new_request(entity, vcpu);
}

void EevdfQueue::enqueue(Vcpu& vcpu, Nanos now) {
  charge(now);
  vcpu.tie = index_of(vcpu.id);
  if (flat_) return enqueue_flat(vcpu);
  vcpu.weight = kDefaultWeight;
  Entity* entity = &vcpu;
  for (GroupId group = vcpu.group;; group = hierarchy_.parent(group)) {
    Timeline& timeline = timeline_above(group);
    ++timeline.runnable_vcpus;
    if (!entity->queued) {
      place(*entity, vcpu, timeline);
      timeline.join(*entity);
      if (group != kRootGroup) hierarchy_.add_load(group, entity->weight.value);
    }
    if (group == kRootGroup) return;
    hierarchy_.count_runnable(group, 1);
    entity = timeline.owner();
    if (entity->queued) {
      refresh_share(*entity);
    } else {
      // The lag it left with is as much service as then.
      const Weight share = hierarchy_.share(group, timeline.load());
      entity->lag = scale(entity->lag, entity->weight.value, share.value);
      entity->weight = share;
    }
  }
}

void EevdfQueue::leave(Entity& entity) {
  Timeline& timeline = *entity.timeline;
  entity.lag = bounded(timeline.lag(entity), entity);
  timeline.leave(entity);
  entity.left_at = timeline.average();
  if (timeline.owner() != nullptr) {
    hierarchy_.add_load(group_of(*timeline.owner()), -entity.weight.value);
  }
}

void EevdfQueue::dequeue(Vcpu& vcpu, Nanos now) {
  charge(now);
  if (&vcpu == current_) {
    // The chain's groups stay, but none of them runs until the next pick.
    for (Entity* e = parent_of(vcpu); e != nullptr; e = parent_of(*e)) e->timeline->put_current();
    current_ = nullptr;
    turn_over_ = false;
  }
  Entity* entity = &vcpu;
  for (Entity* e = entity; e != nullptr && e->timeline->nominee() == e; e = parent_of(*e)) {
    e->timeline->drop_nominee();
  }
  bool leaving = true;
  while (entity != nullptr) {
    Timeline& timeline = *entity->timeline;
    --timeline.runnable_vcpus;
    if (leaving) {
      leave(*entity);
      leaving = timeline.members() == 0;
    }
    entity = timeline.owner();
    if (entity != nullptr) hierarchy_.count_runnable(group_of(*entity), -1);
    if (entity != nullptr && !leaving) refresh_share(*entity);
  }
  if (flat_) flat_->leave(vcpu);
}

Vcpu* EevdfQueue::pick(Nanos now) {
  SCHED_DCHECK(current_ == nullptr);
  charged_until_ = now;
  turn_start_ = now;
  discounted_ = {};
  turn_over_ = false;
  if (root_.runnable_vcpus == 0) return nullptr;
  Timeline* timeline = &root_;
  for (;;) {
    Entity* entity = timeline->pick();
    refresh_weight(*entity);
    timeline->set_current(*entity);
    if (!entity->is_group()) {
      current_ = &vcpu_of(*entity);
      return current_;
    }
    timeline = entity->own;
  }
}

void EevdfQueue::put(Nanos now) {
  charge(now);
  for (Entity* e = current_; e != nullptr; e = parent_of(*e)) e->timeline->put_current();
  current_ = nullptr;
  turn_over_ = false;
}

void EevdfQueue::charge(Nanos now) {
  if (current_ == nullptr) return;
  // Whatever the host says it took: no more than has passed since the turn began.
  if (const Nanos passed = now - turn_start_; discounted_ > passed) {
    charged_until_ -= discounted_ - passed;
    discounted_ = passed;
  }
  const Nanos ran = now - charged_until_;
  if (ran <= Nanos::zero()) return;
  charged_until_ = now;
  if (flat_) flat_->add_service(*current_, ran);
  for (Entity* e = current_; e != nullptr; e = parent_of(*e)) {
    Timeline& timeline = *e->timeline;
    refresh_weight(*e);
    if (e->is_group()) hierarchy_.add_service(group_of(*e), ran);
    timeline.advance_current(virtual_of(ran, *e));
    if (e->vruntime >= e->deadline) {
      new_request(*e, *current_);
      turn_over_ = turn_over_ || timeline.contested();
    }
  }
}

bool EevdfQueue::tick(Nanos now) {
  charge(now);
  return turn_over_;
}

Nanos EevdfQueue::turn_end() const {
  if (current_ == nullptr) return kForever;
  if (turn_over_) return charged_until_;
  Nanos left = kForever;
  for (const Entity* e = current_; e != nullptr; e = parent_of(*e)) {
    if (e->timeline->contested()) left = std::min(left, real_of(e->deadline - e->vruntime, *e));
  }
  return left == kForever ? kForever : charged_until_ + left;
}

bool EevdfQueue::preempts(const Vcpu& woken) const {
  for (const Entity* e = &woken; e != nullptr; e = parent_of(*e)) {
    const Entity* running = e->timeline->current();
    if (running == nullptr || running == e) continue;
    // Run to parity: while eligible and inside its request, the running entity is protected.
    return !e->timeline->eligible(*running) && e->timeline->peek() == e;
  }
  return false;
}

uint32_t EevdfQueue::movable(std::span<Vcpu*> out) const { return waiting_below(root_, out); }

// Weights that follow load, before they count: a group's, and on a flat queue a vCPU's.
void EevdfQueue::refresh_weight(Entity& entity) {
  if (entity.is_group()) return refresh_share(entity);
  if (!flat_) return;
  const Weight weight = flat_->weight_of(vcpu_of(entity));
  if (weight != entity.weight) reweigh(entity, weight);
}

void EevdfQueue::refresh_share(Entity& entity) {
  entity.slice = hierarchy_.slice(group_of(entity));  // policies may have changed
  const Weight weight = hierarchy_.share(group_of(entity), entity.own->load());
  if (weight == entity.weight) return;
  const GroupId parent = hierarchy_.parent(group_of(entity));
  if (parent != kRootGroup) hierarchy_.add_load(parent, weight.value - entity.weight.value);
  reweigh(entity, weight);
}

uint64_t EevdfQueue::steps() const {
  uint64_t sum = root_.steps();
  for (const GroupEntity& slot : slots_) sum += slot.timeline.steps();
  return sum;
}

void EevdfQueue::check() const {
  root_.check_sums();
  for (const GroupEntity& slot : slots_) slot.timeline.check_sums();
}

}  // namespace sched
