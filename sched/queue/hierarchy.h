// The group tree that all workers share: root → group → … → VM. A group's weight on one worker is its share
// of the load there, so the group's total load is what workers tell each other; and the service that it got
// from all of them, for when workers cannot have equal loads.
//
// Built before the run by one thread. During it, what concerns load and service may be called by any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <deque>

#include "sched/base/types.h"
#include "sched/base/vm_share.h"

namespace sched {

class Hierarchy {
 public:
  // Weights are this much finer than those of vCPUs, a power of two: a VM of the default weight that runs
  // everywhere has a share of 16 at the least, as it has on 64 workers. Without that, shares on more than 512
  // workers would all round to kMinWeight.
  static constexpr int64_t resolution_for(uint32_t workers) {
    constexpr uint32_t kFewWorkers = 64;
    return std::bit_ceil((workers + kFewWorkers - 1) / kFewWorkers);
  }
  explicit Hierarchy(int64_t resolution = 1, VmShare mode = VmShare::kSmp, uint32_t workers = 1)
      : resolution_(resolution), mode_(mode), workers_(workers) {}
  int64_t resolution() const { return resolution_; }

  GroupId add(GroupId parent, Weight weight, Nanos slice) {
    groups_.emplace_back(parent, Weight{weight.value * resolution_}, slice);
    return GroupId{static_cast<uint32_t>(groups_.size() - 1)};
  }

  // Nobody calls anything meanwhile.
  void set_slice(GroupId group, Nanos slice) { groups_[index_of(group)].slice = slice; }

  uint32_t size() const { return static_cast<uint32_t>(groups_.size()); }
  GroupId parent(GroupId group) const { return at(group).parent; }
  Weight weight(GroupId group) const { return at(group).weight; }
  Nanos slice(GroupId group) const { return at(group).slice; }

  // A worker's load of this group changed. Relaxed: a share computed from a sum that is a moment old is
  // corrected at the next charge.
  void add_load(GroupId group, int64_t change) {
    groups_[index_of(group)].load.fetch_add(change, std::memory_order_relaxed);
  }

  bool runnable(GroupId group) const { return at(group).load.load(std::memory_order_relaxed) > 0; }

  // Asks for service(); before the run. Else nobody counts: workers that share a group would write to the
  // same cache line at every charge.
  void count_service() { counts_service_ = true; }
  // Time on workers, as charged.
  void add_service(GroupId group, Nanos ran) {
    if (!counts_service_) return;
    groups_[index_of(group)].service.fetch_add(ran.count(), std::memory_order_relaxed);
  }
  Nanos service(GroupId group) const { return Nanos{at(group).service.load(std::memory_order_relaxed)}; }

  // vCPUs of the group that are runnable, on whatever worker: queues say so where counts_runnable().
  bool counts_runnable() const { return mode_ == VmShare::kConcur || mode_ == VmShare::kTasks; }
  void count_runnable(GroupId group, int64_t change) {
    if (!counts_runnable()) return;
    groups_[index_of(group)].runnable.fetch_add(change, std::memory_order_relaxed);
  }

  // The weight that the group has on a worker where its load is `local`: a part of what it has in all, by the part
  // of its load that is there.
  Weight share(GroupId group, Weight local) const {
    const Group& g = at(group);
    if (mode_ == VmShare::kUp) return g.weight;
    const int64_t total = std::max(g.load.load(std::memory_order_relaxed), local.value);
    if (total <= 0) return g.weight;
    const Weight whole = whole_weight(g);
    return std::clamp(Weight{whole.value * local.value / total}, kMinWeight, whole);
  }

 private:
  struct Group {
    Group(GroupId p, Weight w, Nanos s) : parent(p), weight(w), slice(s) {}
    GroupId parent;
    Weight weight;
    Nanos slice;
    std::atomic<int64_t> load{0};     // Σ over workers of the weights queued directly in the group
    std::atomic<int64_t> service{0};  // ns
    std::atomic<int64_t> runnable{0};
  };
  // On all workers together.
  Weight whole_weight(const Group& g) const {
    const int64_t runnable = std::max<int64_t>(1, g.runnable.load(std::memory_order_relaxed));
    switch (mode_) {
      case VmShare::kConcur:
        return {g.weight.value * std::min<int64_t>(runnable, workers_)};
      case VmShare::kTasks:
        return {g.weight.value * runnable};
      case VmShare::kMax:
        return {std::min(g.weight.value * workers_, std::max(g.weight.value, kNiceMinus20 * resolution_))};
      case VmShare::kUp:
      case VmShare::kSmp:
        break;
    }
    return g.weight;
  }

  const Group& at(GroupId group) const { return groups_[index_of(group)]; }

  static constexpr int64_t kNiceMinus20 = 88'761;  // the weight of Linux' highest priority

  const int64_t resolution_;
  const VmShare mode_;
  const int64_t workers_;
  bool counts_service_ = false;
  std::deque<Group> groups_;  // a deque, because an atomic cannot move
};

}  // namespace sched
