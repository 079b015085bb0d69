// Where vCPUs begin. Pure, any thread.
#pragma once

#include <vector>

#include "sched/types.h"

namespace sched {

struct Setup;

// The first worker of every vCPU, by VcpuId. If all VMs ask for it (`pack`) and it gives every worker as much
// load, up to an eighth, each VM's vCPUs begin side by side on as few workers as that takes; else vCPUs are
// dealt out one by one, so that every worker has a part of every VM.
std::vector<WorkerId> first_places(const Setup& setup);

}  // namespace sched
