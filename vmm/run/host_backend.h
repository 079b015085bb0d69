// Runs a specification on real KVM with a thread for each vCPU, all of them on the CPUs that the workers
// would have: what a user would otherwise choose, and so what our scheduler is compared with. Main thread,
// one run at a time per process.
#pragma once

#include "vmm/run/run.h"

namespace vmm {

// The run's policies must all be the same host preset:
//   host        LAPICs in user space. Spin exits do nothing, so guests ring no bell at all: a hypervisor that
//               ignores spinning does not offer one, and must not be charged for exits that it did not ask
//               for.
//   host-yield  the same, but guests ring after the run's spin window and the thread gives up its CPU by
//               sched_yield().
//   host-kvm    LAPICs inside KVM, so that IPIs, EOIs and HLT do not exit; KVM handles PAUSE loops where the
//               host's hardware reports them; no bell.
// `--irqchip split` gives the first two KVM's LAPICs as well. Weights and groups are refused.
[[nodiscard]] Result<RunResult> run_host_threads(const RunSpec& spec, RunControl& control);

}  // namespace vmm
