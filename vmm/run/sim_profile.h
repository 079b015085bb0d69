// The simulator's costs by name: a built-in profile, or a file. Main thread; reads the file each time.
//
// A file is what `kvmux doctor --json` writes, or a JSON object of the keys of sched::sim::cost_fields(),
// all optional. What it does not hold comes from the built-in profile whose exits cost about the same.
#pragma once

#include <string>

#include "sched/sim/cost_profile.h"
#include "vmm/result.h"

namespace vmm {

[[nodiscard]] Result<sched::sim::CostProfile> load_cost_profile(const std::string& name_or_path);

}  // namespace vmm
