// Runs a specification in virtual time: the same scheduler, model guests, and the costs of a profile. Needs
// no KVM; the same specification gives the same result, byte by byte.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "sched/sim/cost_profile.h"
#include "sched/sim/replay.h"
#include "vmm/run/run.h"

namespace vmm {

// What takes the place of model guests and of a named cost profile: a recorded run (`kvmux replay`).
struct SimInputs {
  std::vector<std::shared_ptr<const sched::sim::ReplayScript>> scripts;  // of each VM; empty: models
  std::vector<std::vector<sched::WorkerId>> places;  // of each VM's vCPUs, for policies without `pack`
  std::optional<sched::sim::CostProfile> costs;
};

// Refuses, as usage errors: a guest that is not one of the built-in workloads, the preset host-kvm, and a
// cost profile that cannot be read. `host` and `host-yield` are simulated as a flat EEVDF over all vCPUs
// whose switches do not leave the kernel (docs/simulator.md says what that leaves out). Memory, guest
// arguments and irqchip have no meaning here.
[[nodiscard]] Result<RunResult> run_simulated(const RunSpec& spec, RunControl& control,
                                              const SimInputs& inputs = {});

}  // namespace vmm
