// From whom a worker without work takes some.
//
// A rule is a function in a file of its own, place/steal/NAME.cc, with a line in policy/rules.h. It tries
// workers in its order until one gives; which of its vCPUs that one gives is Placement::take_waiting(). Runs
// on the thief without any lock: what it sees of others are hints, and the attempt itself looks again under
// the victim's lock.
#pragma once

#include <cstdint>

#include "sched/base/types.h"
#include "sched/policy/rules.h"
#include "sched/workers/workers.h"

namespace sched {

// What a rule sees.
class StealScan {
 public:
  StealScan(Workers& workers, WorkerId thief) : workers_(workers), thief_(thief) {}
  uint32_t workers() const { return workers_.count(); }
  WorkerId thief() const { return thief_; }
  // vCPUs that wait there; none where there is nothing to take.
  uint32_t waiting(WorkerId worker) const { return workers_.idle().waiting(worker); }
  // The weight of all that is runnable there.
  int64_t load(WorkerId worker) const { return workers_.at(worker).load.load(std::memory_order_relaxed); }

 private:
  Workers& workers_;
  const WorkerId thief_;
};

// Takes a vCPU from one worker. True: the search is over.
class StealAttempt {
 public:
  virtual bool operator()(WorkerId victim) = 0;

 protected:
  ~StealAttempt() = default;
};

namespace steal {
#define SCHED_RULE_DECLARED(value, name) void name(const StealScan& scan, StealAttempt& take_from);
SCHED_STEAL_RULES(SCHED_RULE_DECLARED)
#undef SCHED_RULE_DECLARED
}  // namespace steal

}  // namespace sched
