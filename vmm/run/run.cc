#include "vmm/run/run.h"

#include "vmm/run/host_backend.h"
#include "vmm/run/kvm_backend.h"
#include "vmm/run/setup.h"
#include "vmm/run/sim_backend.h"

namespace vmm {

Result<RunResult> run(const RunSpec& spec, RunControl& control) {
  if (spec.backend == Backend::kSim) return run_simulated(spec, control);
  return is_host_run(spec) ? run_host_threads(spec, control) : run_on_kvm(spec, control);
}

}  // namespace vmm
