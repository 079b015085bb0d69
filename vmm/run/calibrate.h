// How fast this host runs the guests' loops and how dear an exit is: measured once per process by running the
// `calibrate` guest with a vCPU on every worker, because CPUs that all compute are slower than one that does
// so alone, and one may be slower than the next. Means over the workers; reused for every VM and repeat.
#pragma once

#include <atomic>

#include "vmm/run/tiny_vm.h"

namespace vmm {

// Thread-safe. ring: 3 or 0, the privilege level that the guests will run at.
[[nodiscard]] Result<Calibration> calibration(uint32_t ring, uint32_t workers, const std::atomic<bool>& stop,
                                              EventLoopKind event_loop = EventLoopKind::kAuto);

}  // namespace vmm
