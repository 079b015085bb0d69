#include "vmm/run/host_backend.h"

#include "vmm/run/calibrate.h"
#include "vmm/run/host_machine.h"
#include "vmm/run/measured_run.h"
#include "vmm/run/setup.h"

namespace vmm {
namespace {

Result<void> check_split_irqchip() {
  const auto system = System::open();
  if (!system) return Failure(system.error());
  if (system->capabilities().has(KVM_CAP_SPLIT_IRQCHIP)) return {};
  return host_error("--irqchip split", 0,
                    "this host's KVM lacks KVM_CAP_SPLIT_IRQCHIP, which host-kvm needs as well");
}

}  // namespace

Result<RunResult> run_host_threads(const RunSpec& spec, RunControl& control) {
  if (auto fits = check_together(spec); !fits) return Failure(fits.error());
  const sched::QueueKind kind = spec.vms.front().policy.features.queue;
  const bool yields = kind == sched::QueueKind::kHostYield;
  const bool all_kvm = kind == sched::QueueKind::kHostKvm;
  HostMode mode;
  mode.yield_on_spin = yields;
  if (all_kvm || spec.irqchip == Irqchip::kSplit) {
    if (auto able = check_split_irqchip(); !able) return Failure(able.error());
    mode.lapic = LapicPlace::kKernel;
  }
  const auto calibrated = Calibrations::of(spec, control.stop);
  if (!calibrated) return Failure(calibrated.error());
  return measured_run(
      spec, control,
      {.engine = std::make_unique<HostMachine>(mode, spec.workers),
       .calibrations = *calibrated,
       .spin_window = yields ? spin_window_of(spec, calibrated->common().exit_cost) : Nanos::zero(),
       .vm_options = {.lapic = mode.lapic, .kernel_pause_exits = all_kvm}});
}

}  // namespace vmm
