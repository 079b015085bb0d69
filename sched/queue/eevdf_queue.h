// EEVDF on one worker: hierarchical, with a timeline for the root and one for every group, an entity for every
// group; or flat, with the root's timeline alone, on which vCPUs weigh what their groups make of them.
//
// Invariants: a group's entity is queued exactly while its timeline has members; from pick() on, every
// timeline on the running vCPU's chain has a current; a group entity's weight is its share of the group's
// load here. Guarded by the worker's lock. O(depth · log n) per operation; nothing is allocated after
// construction.
#pragma once

#include <optional>
#include <vector>

#include "sched/base/rng.h"
#include "sched/queue/flat_shares.h"
#include "sched/queue/hierarchy.h"
#include "sched/queue/run_queue.h"
#include "sched/queue/timeline.h"

namespace sched {

// What is the same for all entities of a queue.
struct EevdfConstants {
  int64_t slice_jitter_permille;  // each request is drawn from its length · (1 ± this)
  int64_t lag_limit_slices;       // bound of the lag that an entity keeps while it is off the queue
  bool flat = false;
};

// A group on one worker.
struct GroupEntity final : Entity {
  GroupEntity() : timeline(this) { own = &timeline; }
  Timeline timeline;  // of its members here
  GroupId group{};
};

class EevdfQueue final : public RunQueue {
 public:
  EevdfQueue(Hierarchy& hierarchy, const EevdfConstants& constants, uint64_t seed);

  void enqueue(Vcpu& vcpu, Nanos now) override;
  void dequeue(Vcpu& vcpu, Nanos now) override;
  Vcpu* pick(Nanos now) override;
  void put(Nanos now) override;
  bool tick(Nanos now) override;
  void discount_stolen(Nanos lost) override { discounted_ += lost, charged_until_ += lost; }
  Nanos turn_end() const override;
  bool preempts(const Vcpu& woken) const override;
  uint32_t movable(std::span<Vcpu*> out) const override;
  Vcpu* current() const override { return current_; }
  uint32_t runnable() const override { return root_.runnable_vcpus; }
  Weight load() const override { return root_.load(); }
  Weight load_of(const Vcpu& vcpu) const override;
  uint64_t steps() const override;

  // --- What a directed yield may do here; see yield/effect.h for which policy does what. ---
  // All but nominate() act on the running vCPU, which must exist and be charged up to now (tick()).

  // Nominates at every level of the target's chain. When the target leaves, so do the nominations that its
  // groups have for its sake.
  void nominate(Vcpu& target, Nomination nomination);
  void nominate(Vcpu& target, Nanos slack) { nominate(target, Nomination(slack)); }  // one pick a level
  // Gives up the rest of the request if eligible: vruntime := deadline, and a new request.
  void forfeit();
  // The proportional forfeit up the hierarchy.
  void forfeit_ancestors();
  // The level at which the chains of the running vCPU and of the target part.
  struct Siblings {
    Entity* yielder;
    Entity* target;
  };
  Siblings siblings(Vcpu& target) const;
  // vruntime += penalty, with a fresh deadline; false and unchanged on overflow.
  bool penalize(Entity& yielder, Vruntime penalty);
  // Gives every level of the target's chain that is not eligible a small positive lag: a slice where as many
  // as `full_depth` are queued, else the same part of one. True if any was.
  bool credit(Vcpu& target, int64_t full_depth);
  // The running vCPU is charged for so much more than it has run.
  void surcharge(Nanos extra) { charged_until_ -= extra; }
  // An IPI was sent to a vCPU that waits here. The turns asked for soon after are shorter.
  void ipi_waited(Nanos at) { ipi_waited_ = at; }
  // The running vCPU's protection ends: the next tick() says its turn is over.
  void cancel_protection() { turn_over_ = true; }
  // Would somebody else run if the worker chose now, with the running vCPU still protected? Also if nobody
  // runs: another worker may ask between two turns.
  bool passes_over_current() const;

  Vruntime scaled_slice(const Entity& entity) const { return virtual_of(entity.slice, entity); }
  // The group that a group's entity stands for.
  static GroupId group_of(const Entity& entity) {
    SCHED_DCHECK(entity.is_group());
    return static_cast<const GroupEntity&>(entity).group;
  }
  const Timeline& root() const { return root_; }
  // An empty one if no vCPU of the group has been here.
  const Timeline& timeline(GroupId group) const;
  // Debug and property tests: every sum against a recomputation.
  void check() const;

 private:
  Timeline& timeline_above(GroupId parent);

  // Weights of groups, and all on a flat queue, are finer than those of vCPUs by the hierarchy's resolution.
  int64_t resolution_of(const Entity& entity) const {
    return entity.is_group() || constants_.flat ? resolution_ : 1;
  }
  Nanos resolved(Nanos time, const Entity& entity) const { return time * resolution_of(entity); }
  Vruntime virtual_of(Nanos exec, const Entity& entity) const {
    return to_virtual(resolved(exec, entity), entity.weight);
  }
  Nanos real_of(Vruntime service, const Entity& entity) const {
    const int64_t resolution = resolution_of(entity);
    return (to_real(service, entity.weight) + Nanos{resolution - 1}) / resolution;
  }
  Nanos turn_length(const Entity& entity, const Vcpu& vcpu) const;
  void charge(Nanos now);
  void place(Entity& entity, const Vcpu& vcpu, Timeline& timeline);
  void leave(Entity& entity);
  void enqueue_flat(Vcpu& vcpu);
  void refresh_share(Entity& group_entity);
  void refresh_weight(Entity& entity);
  void reweigh(Entity& entity, Weight weight);
  void new_request(Entity& entity, const Vcpu& vcpu);
  Vruntime bounded(Vruntime lag, const Entity& entity) const;

  Hierarchy& hierarchy_;
  const int64_t resolution_;
  const EevdfConstants constants_;
  Rng rng_;
  Timeline root_;
  std::optional<FlatShares> flat_;  // of a flat queue
  // A group takes the next slot when its first vCPU comes here. A worker's groups, few of a large host's, so
  // lie side by side; at their numbers' places each would have a page and a TLB entry of its own.
  std::vector<GroupEntity> slots_;     // never resized, because timelines point at their entities
  std::vector<GroupEntity*> slot_of_;  // by GroupId
  size_t slots_taken_ = 0;
  Vcpu* current_ = nullptr;
  Nanos charged_until_{};  // ahead of the clock while time is discounted that was charged already
  Nanos turn_start_{};
  Nanos ipi_waited_ = -kForever;  // never
  Nanos discounted_{};  // in this turn so far
  bool turn_over_ = false;
};

}  // namespace sched
