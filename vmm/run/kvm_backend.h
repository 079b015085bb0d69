// Runs a specification on real KVM under our scheduler: set-up, warm-up, the measured window, the result.
// One run at a time per process; called by the main thread.
#pragma once

#include "vmm/run/run.h"

namespace vmm {

[[nodiscard]] Result<RunResult> run_on_kvm(const RunSpec& spec, RunControl& control);

}  // namespace vmm
