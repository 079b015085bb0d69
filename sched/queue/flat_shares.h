// What groups are for on a flat queue: they say how much each vCPU weighs, and are not queued themselves.
//
// A vCPU weighs, level by level, its own weight times what its group weighs on this worker (its share:
// hierarchy.h), over the load of the group here. So all of a VM's vCPUs on a worker weigh together what the VM would
// weigh there if it were queued. Source: Linux 7.3's flat pick.
//
// Guarded by the worker's lock. O(depth) a call; nothing is allocated after construction.
#pragma once

#include <vector>

#include "sched/queue/hierarchy.h"
#include "sched/queue/run_queue.h"

namespace sched {

class FlatShares {
 public:
  explicit FlatShares(Hierarchy& hierarchy) : hierarchy_(hierarchy), groups_(hierarchy.size()) {}

  // The vCPU is runnable here, or no longer. Others' weights follow when they are asked for.
  void join(const Vcpu& vcpu);
  void leave(const Vcpu& vcpu);
  // Of one that is runnable here, as of now, in the units of groups' weights.
  [[nodiscard]] Weight weight_of(const Vcpu& vcpu);
  // Time on this worker, which all of its groups have had.
  void add_service(const Vcpu& vcpu, Nanos ran);

 private:
  struct Group {
    int64_t weight = 0;  // its share here; 0 while nobody of it is here
    int64_t load = 0;    // of its members here
  };
  void change_load(GroupId group, int64_t by);
  void count(GroupId group, int64_t by);

  Hierarchy& hierarchy_;
  std::vector<Group> groups_;  // by GroupId
};

}  // namespace sched
