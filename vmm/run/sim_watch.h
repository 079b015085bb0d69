// The watchdog's judgement (vmm/watch/judge.h) on a simulated machine, in virtual time: what finds a fault of
// the scheduler on KVM finds it here as well, on machines that nobody has. One thread.
#pragma once

#include <string>
#include <vector>

#include "sched/sim/simulator.h"
#include "vmm/run_types.h"
#include "vmm/watch/judge.h"

namespace vmm {

class SimWatch {
 public:
  // Nothing is judged where the host schedules, or nobody wants to know (RunSpec::stall).
  SimWatch(const RunSpec& spec, const sched::sim::Config& config);

  // Between two steps of the simulator.
  void look(const sched::sim::Simulator& simulator);
  // The run is over.
  void finish(RunResult& result) const;

 private:
  const bool on_;
  MachineView view_;
  watch::Judge judge_;
  std::vector<std::string> stalls_;
};

}  // namespace vmm
