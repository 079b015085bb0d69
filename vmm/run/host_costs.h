// Measures what this host charges for the basic steps of a hypervisor: exits, kicks, injection, switching and
// moving. Main thread, nothing else running; about a second.
#pragma once

#include <vector>

#include "vmm/doctor.h"
#include "vmm/result.h"

namespace vmm {

[[nodiscard]] Result<std::vector<MeasuredCost>> measure_host_costs();

}  // namespace vmm
