// One level of the hierarchy on one worker: the entities that compete with each other, their load-weighted
// average vruntime, and the EEVDF pick among them.
//
// An entity is a member from join() to leave(). One member at most is `current` (running, or containing the
// running vCPU); the others are in the tree. Sums count all members, so the average needs no special case.
// Not thread-safe: guarded by the worker's queue lock.
//
// Sources: Stoica and Abdel-Wahab 1995 for EEVDF; Linux 6.19 for placement and lag bounds.
#pragma once

#include "sched/base/types.h"
#include "sched/queue/tree.h"

namespace sched {

__extension__ typedef __int128 Int128;  // sums of weight · vruntime cannot overflow in it

// v · num / den.
constexpr Vruntime scale(Vruntime v, int64_t num, int64_t den) {
  return {static_cast<int64_t>(static_cast<Int128>(v.ticks) * num / den)};
}

// How long and how far a nominee counts. A chain of nominations is one for each timeline, and each ends by
// itself: where a pick passes over a VM, the VM's own nominee stays until the VM is picked.
struct Nomination {
  Nanos slack{};       // it may be so far past the average
  bool lasts = false;  // until it is picked, leaves or is replaced (Linux' next buddy); else for one pick
  Nomination() = default;
  explicit Nomination(Nanos s, bool l = false) : slack(s), lasts(l) {}
};

class Timeline {
 public:
  explicit Timeline(Entity* owner = nullptr) : owner_(owner) {}

  Entity* owner() const { return owner_; }  // the group entity that contains this queue; null at the root
  Entity* current() const { return current_; }
  uint32_t members() const { return members_; }
  bool contested() const { return members_ > 1; }
  Weight load() const { return {load_}; }  // of all members

  // Runnable vCPUs at and below this level, the running one included.
  uint32_t runnable_vcpus = 0;

  // The load-weighted average vruntime: where lag is zero. The last known value while there are no members.
  Vruntime average() const;
  // Lag ≥ 0, that is vruntime ≤ average, without the rounding of average().
  bool eligible(const Entity& entity) const { return eligible(entity.vruntime); }
  bool eligible(Vruntime vruntime) const { return static_cast<Int128>(vruntime.ticks) * load_ <= weighted_; }
  // average − vruntime: positive is owed service.
  Vruntime lag(const Entity& entity) const { return average() - entity.vruntime; }

  void join(Entity& entity);   // by its vruntime and weight; into the tree
  void leave(Entity& entity);  // from the tree or from current
  void set_current(Entity& entity);
  void put_current();

  // Current only: charge virtual service, or set the fields at will. Keep the sums right.
  void advance_current(Vruntime service);
  // Any member: change vruntime, deadline or weight and put it back in order.
  void replace(Entity& entity, Vruntime vruntime, Vruntime deadline, Weight weight);

  // The nomination ("next buddy"): honoured by pick() while the nominee's vruntime is at most `slack` past
  // the average, by its weight of that moment, and used once. slack 0 means eligible.
  void nominate(Entity& entity, Nomination nomination) { nominee_ = &entity, nomination_ = nomination; }
  Entity* nominee() const { return nominee_; }
  void drop_nominee() { nominee_ = nullptr; }
  // Would a pick now take another one than `current`, without its protection being cancelled? A nominee that
  // is honoured goes first; else current keeps its turn while it is eligible.
  bool passes_over_current() const;

  // Whom to run: the honoured nominee, else the eligible member with the earliest deadline. Null if empty.
  // There must be no current.
  Entity* pick();
  // The same without using up the nomination, `current` competing too.
  Entity* peek() const;

  // Calls fn(const Entity&) for every member.
  template <class Fn>
  void for_each(Fn fn) const {
    for (const Entity* entity = tree_.first(); entity != nullptr; entity = Tree::next(*entity)) fn(*entity);
    if (current_ != nullptr) fn(*current_);
  }

  uint64_t steps() const { return tree_.steps(); }
  const Tree& tree() const { return tree_; }
  void check_sums() const;  // recomputes them from the members; ends the process when they differ

 private:
  bool honours_nominee() const;

  Tree tree_;
  Entity* owner_;
  Entity* current_ = nullptr;
  Entity* nominee_ = nullptr;
  Nomination nomination_{};
  Int128 weighted_ = 0;  // Σ weight · vruntime over all members
  int64_t load_ = 0;     // Σ weight
  uint32_t members_ = 0;
  Vruntime last_average_{};
};

}  // namespace sched
