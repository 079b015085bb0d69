// What the scheduler asks of the world around it. Implemented by the VMM over signals, timers and rings, by
// the simulator over its event queue, and by tests.
//
// Called under a queue lock: implementations must be quick, must not block and must not call the scheduler.
#pragma once

#include "sched/base/types.h"

namespace sched {

class Host {
 public:
  virtual ~Host() = default;
  // Make this worker call tick() soon if it runs a vCPU, or pick() if it is idle. A kick that comes before
  // the worker waits must not be lost; kicks may be merged.
  virtual void kick(WorkerId worker) = 0;
  // Make this worker call tick() at this instant; it replaces the instant asked for before. kForever: no
  // tick. `now`: the caller's last look at the clock.
  virtual void arm_tick(WorkerId worker, Nanos at, Nanos now) = 0;
};

}  // namespace sched
