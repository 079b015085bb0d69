// A schedulable entity: a vCPU, or a group (a VM, or a group of VMs) on one worker.
//
// Owned by whoever owns the queue it is on; every field is guarded by that queue's lock. Laid out so that
// what a walk through the timeline touches sits in one cache line. Vcpu (run_queue.h) and GroupEntity
// (eevdf_queue.h) are the two kinds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "sched/base/types.h"

namespace sched {

class Timeline;

inline constexpr Vruntime kNoVruntime{std::numeric_limits<int64_t>::max()};  // larger than any
inline constexpr Vruntime kNoCredit{std::numeric_limits<int64_t>::min()};

struct alignas(64) Entity {
  // Links of the timeline's tree. A node also holds what it has to know of its children's subtrees: their
  // smallest vruntimes and their AVL heights. A walk up or down then reads the nodes on its path, but not
  // their siblings: with thousands queued, every node read is a cache miss.
  Entity* left = nullptr;
  Entity* right = nullptr;
  Entity* up = nullptr;
  Vruntime deadline{};  // virtual deadline of the current request
  Vruntime vruntime{};
  Vruntime left_min{};  // no subtree: kNoVruntime
  Vruntime right_min{};
  uint32_t tie = 0;         // breaks ties, so that order never depends on addresses
  uint8_t left_height = 0;  // no subtree: 0
  uint8_t right_height = 0;
  bool in_tree = false;
  bool queued = false;  // a member of `timeline`: in its tree or its current

  Weight weight{};
  Vruntime request{};                 // length of the current request: the jittered slice, in virtual time
  Vruntime lag{};                     // while off the queue: average − vruntime at leaving, bounded
  Vruntime left_at{};                 // while off the queue: the average of those who stayed, at leaving
  Vruntime credit_floor = kNoCredit;  // no further credit until the average is here
  Nanos slice{};                      // before jitter; set by others
  Timeline* timeline = nullptr;       // the queue it competes on; the parent's
  Timeline* own = nullptr;            // a group's own queue; null for a vCPU

  int height() const { return 1 + std::max(left_height, right_height); }
  Vruntime min_vruntime() const { return std::min({vruntime, left_min, right_min}); }
  bool is_group() const { return own != nullptr; }
};

}  // namespace sched
