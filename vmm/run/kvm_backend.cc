#include "vmm/run/kvm_backend.h"

#include "vmm/run/calibrate.h"
#include "vmm/run/machine.h"
#include "vmm/run/measured_run.h"
#include "vmm/run/moves.h"
#include "vmm/run/setup.h"

namespace vmm {
namespace {

// A look is an exit by a signal, and a timer that is set anew: about two exits.
Nanos sample_cost(SpinDetect detect, Nanos exit_cost) {
  const bool samples = detect == SpinDetect::kSample || detect == SpinDetect::kBoth;
  return samples ? std::max(Nanos{1}, 2 * exit_cost) : Nanos{};
}

}  // namespace

Result<RunResult> run_on_kvm(const RunSpec& asked, RunControl& control) {
  if (auto fits = check_together(asked); !fits) return Failure(fits.error());
  RunSpec spec = asked;
  const auto moves = weigh_moves(spec, move_costs_for(spec));
  const auto calibrated = Calibrations::of(spec, control.stop);
  if (!calibrated) return Failure(calibrated.error());
  const Nanos spin_window = spin_window_of(spec, calibrated->common().exit_cost);
  const auto setup = make_setup(spec, spin_window);
  if (!setup) return Failure(setup.error());
  auto result = measured_run(spec, control,
                             {.engine = std::make_unique<Machine>(
                                  *setup, sample_cost(spec.spin_detect, calibrated->common().exit_cost),
                                  spec.rotate, spec.event_loop, moves && moves->carried),
                              .calibrations = *calibrated,
                              .spin_window = spin_window,
                              .vm_options = {}});
  if (result) result->moves = moves;
  return result;
}

}  // namespace vmm
