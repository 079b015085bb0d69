// What a recorded host charged, as far as its trace shows it, for the simulator to charge the same. Pure, any
// thread.
#pragma once

#include "sched/sim/cost_profile.h"
#include "vmm/trace/trace_file.h"

namespace vmm {

struct RecordedCosts {
  sched::sim::CostProfile profile;
  // Of each stay in the guest, between a trace's enter and exit, this is entering and leaving; ns. A
  // simulated trace has it outside.
  int64_t entry_cost = 0;
};

// Of a run on KVM. `base`: what the trace does not show, scaled by what an exit cost then. A trace that does
// not say what one cost leaves all at the base.
RecordedCosts recorded_costs(const Trace& trace, const sched::sim::CostProfile& base);

// The built-in profile whose exits cost about as much as this trace's.
const sched::sim::CostProfile& closest_profile(const Trace& trace);

}  // namespace vmm
