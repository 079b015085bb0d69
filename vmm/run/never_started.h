// Guests that were given time and never got as far as saying that they run (abi.h, kvmux_vcpu_results): loops
// with interrupts off, a HLT that nothing can end. They harm nobody, so they are named when the run is over.
#pragma once

#include <string>
#include <vector>

#include "vmm/run/window.h"

namespace vmm {

// "vm0/vcpu1: never started, still at RIP 0x100000, CPL 0, interrupts off", with the number of others that
// share its fate; empty if there is none. A built-in guest starts every vCPU; a guest of the user's own may
// leave some asleep, so it is named if none has started. After the engine has stopped; `end` is the VM's part
// of the last snapshot, `window` what its vCPUs did in the measured window.
std::string never_started(Vm& vm, bool built_in, const std::vector<VcpuSnapshot>& end,
                          const std::vector<VcpuResult>& window);

}  // namespace vmm
