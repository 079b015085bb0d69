// The course of a run on real KVM, the same for every engine: VMs, warm-up, the measured window, the result.
// Main thread, one run at a time per process.
#pragma once

#include <memory>

#include "vmm/run/calibrate.h"
#include "vmm/run/engine.h"
#include "vmm/run/run.h"
#include "vmm/run/tiny_vm.h"

namespace vmm {

struct RunPlan {
  std::unique_ptr<Engine> engine;
  Calibrations calibrations;
  Nanos spin_window{};   // 0: guests ring no bell
  VmOptions vm_options;  // of every VM; ids are dealt here
};

[[nodiscard]] Result<RunResult> measured_run(const RunSpec& spec, RunControl& control, RunPlan plan);

}  // namespace vmm
