// What somebody who looks on sees of a worker's queue: who is on it, and what the queue goes by. Plain data.
#pragma once

#include <optional>
#include <vector>

#include "sched/base/types.h"

namespace sched {

struct QueuedVcpu {
  VcpuId vcpu{};
  bool is_current = false;
  // EEVDF's, among the vCPUs of its VM here; positive lag: service is owed to it.
  Vruntime vruntime{};
  Vruntime deadline{};
  Vruntime lag{};
  Vruntime group_lag{};  // of its VM among those that it competes with here
  bool eligible = false;
};

struct QueueLook {
  bool is_eevdf = false;        // else vruntimes and the like mean nothing
  bool idle = false;            // the worker is marked as one that sleeps
  Nanos armed = kForever;       // the tick that the host was asked for
  Nanos turn_limit = kForever;  // of a donated turn
  uint32_t runnable = 0;
  std::vector<QueuedVcpu> vcpus;  // the running one included, by deadline (EEVDF) or id
};

}  // namespace sched
