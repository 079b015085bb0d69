// A schedulable entity: a vCPU, or a group (a VM, or a group of VMs) on one worker.
//
// Owned by whoever owns the queue it is on; every field is guarded by that queue's lock. Laid out so that
// what a walk through the timeline touches sits in one cache line.
#pragma once

#include <cstdint>
#include <limits>

#include "sched/types.h"

namespace sched {

class Timeline;

struct alignas(64) Entity {
  // Links of the timeline's tree, and its augmentation: the smallest vruntime in this node's subtree.
  Entity* left = nullptr;
  Entity* right = nullptr;
  Entity* up = nullptr;
  Vruntime deadline{};  // virtual deadline of the current request
  Vruntime vruntime{};
  Vruntime min_vruntime{};
  uint32_t id = 0;     // breaks ties, so that order never depends on addresses
  int32_t height = 0;  // AVL height; 0: not in the tree

  Weight weight{};
  Vruntime request{};            // length of the current request: the jittered slice, in virtual time
  Vruntime lag{};                // while off the queue: average − vruntime at leaving, bounded
  Vruntime left_at{};            // while off the queue: the average of those who stayed, at leaving
  Vruntime credit_floor{std::numeric_limits<int64_t>::min()};  // no further credit until the average is here
  Nanos slice{};                 // before jitter
  Timeline* timeline = nullptr;  // the queue it competes on; the parent's
  Timeline* own = nullptr;       // a group's own queue; null for a vCPU
  bool queued = false;           // a member of `timeline`: in its tree or its current

  bool is_group() const { return own != nullptr; }
};

}  // namespace sched
