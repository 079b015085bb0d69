// A recorded run, done again in virtual time under any policy: `kvmux replay`. Any thread.
#pragma once

#include <string>
#include <vector>

#include "vmm/run/sim_backend.h"
#include "vmm/trace/script.h"

namespace vmm {

class Replay {
 public:
  // `cost_profile`: what a host charges; empty: as the trace shows it (KVM), or as it was simulated. Errors
  // name what the trace lacks, or the profile.
  [[nodiscard]] static Result<Replay> of(Trace trace, const std::string& cost_profile);

  const Trace& trace() const { return trace_; }
  const Recording& recording() const { return recording_; }
  const sched::sim::CostProfile& costs() const { return *inputs_.costs; }
  Nanos length() const { return Nanos{recording_.end - recording_.begin}; }
  // Recorded: operations a second, all VMs together.
  double throughput() const;

  // The policies that were recorded, one a VM.
  [[nodiscard]] Result<std::vector<sched::Policy>> policies() const;
  // The same machine under other policies: one a VM, or one for all.
  [[nodiscard]] RunSpec spec(const std::vector<sched::Policy>& policies, uint64_t seed) const;
  [[nodiscard]] Result<RunResult> run(const RunSpec& spec, RunControl& control) const {
    return run_simulated(spec, control, inputs_);
  }

 private:
  Replay(Trace trace, Recording recording, SimInputs inputs)
      : trace_(std::move(trace)), recording_(std::move(recording)), inputs_(std::move(inputs)) {}

  Trace trace_;
  Recording recording_;
  SimInputs inputs_;
};

}  // namespace vmm
