// Runs a specification in virtual time: the same scheduler, model guests, and the costs of a profile. Needs
// no KVM; the same specification gives the same result, byte by byte.
#pragma once

#include "vmm/run/run.h"

namespace vmm {

// Refuses, as usage errors: a guest that is not one of the built-in workloads, the preset host-kvm, and a
// cost profile that cannot be read. `host` and `host-yield` are simulated as a flat EEVDF over all vCPUs
// whose switches do not leave the kernel (docs/simulator.md says what that leaves out). Memory, guest
// arguments and irqchip have no meaning here.
[[nodiscard]] Result<RunResult> run_simulated(const RunSpec& spec, RunControl& control);

}  // namespace vmm
