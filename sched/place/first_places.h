// Where vCPUs begin. Pure, any thread.
#pragma once

#include <vector>

#include "sched/base/types.h"
#include "sched/policy/setup.h"

namespace sched {

struct FirstPlaces {
  std::vector<WorkerId> of_vcpu;  // by VcpuId
  bool whole;                     // VMs stay whole: the place of a VM's vCPUs is its home
};

// If all VMs ask for it (`pack`, `whole`), weigh the same and are no fewer than the workers, each begins on
// one worker and stays whole. If they only ask for `pack`, or are not alike, and that gives every worker as
// much load, up to an eighth, each VM's vCPUs begin side by side on as few workers as that takes. Else vCPUs
// are dealt out one by one, so that every worker has a part of every VM; or go where the set-up says.
FirstPlaces first_places(const Setup& setup);

}  // namespace sched
