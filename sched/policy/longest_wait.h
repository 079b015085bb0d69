// How long a runnable vCPU waits at the most: the table in sched/README.md as a function. Pure.
//
// For what watches a run: an upper bound for every vCPU of it, where the workers have their CPUs.
#pragma once

#include "sched/base/types.h"
#include "sched/policy/setup.h"

namespace sched {

// Where `runnable` vCPUs of this run are on a worker, the running one included.
[[nodiscard]] Nanos longest_wait(const Setup& setup, uint32_t runnable);

}  // namespace sched
