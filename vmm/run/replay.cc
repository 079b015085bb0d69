#include "vmm/run/replay.h"

#include <fmt/format.h>

#include <algorithm>

#include "sched/policy/parse.h"
#include "vmm/run/sim_profile.h"
#include "vmm/trace/recorded_costs.h"

namespace vmm {

Result<Replay> Replay::of(Trace trace, const std::string& cost_profile) {
  const std::string& profile = cost_profile.empty() ? trace.costs : cost_profile;
  const auto base =
      profile.empty() ? Result<sched::sim::CostProfile>(closest_profile(trace)) : load_cost_profile(profile);
  if (!base) return Failure(base.error());
  const RecordedCosts costs = recorded_costs(trace, *base);
  auto recording = recording_of(trace, {.entry_cost = costs.entry_cost});
  if (!recording) return Failure(recording.error());
  SimInputs inputs;
  inputs.costs = cost_profile.empty() ? costs.profile : *base;
  for (const RecordedVm& vm : recording->vms) {
    inputs.scripts.push_back(vm.script);
    std::vector<sched::WorkerId>& places = inputs.places.emplace_back();
    for (const uint32_t worker : vm.places) places.push_back(sched::WorkerId{worker});
  }
  return Replay(std::move(trace), std::move(*recording), std::move(inputs));
}

double Replay::throughput() const {
  uint64_t operations = 0;
  for (const RecordedVm& vm : recording_.vms) operations += vm.operations;
  return static_cast<double>(operations) / std::chrono::duration<double>(length()).count();
}

Result<std::vector<sched::Policy>> Replay::policies() const {
  std::vector<sched::Policy> policies;
  for (const TraceVm& vm : trace_.vms) {
    auto policy = sched::parse_policy(vm.policy);
    if (!policy)
      return usage_error("replay", fmt::format("the trace's policy '{}': {}", vm.policy, policy.error()));
    policies.push_back(std::move(*policy));
  }
  return policies;
}

RunSpec Replay::spec(const std::vector<sched::Policy>& policies, uint64_t seed) const {
  RunSpec spec;
  spec.backend = Backend::kSim;
  spec.workers = trace_.workers;
  spec.duration = length();
  spec.seed = seed;
  spec.cost_profile = "recorded";  // for its own trace: no name and no file has them
  spec.spin_window = Nanos{trace_.spin_window};
  if (trace_.spin_window == 0) spec.spin_detect = SpinDetect::kOff;
  for (size_t i = 0; i < trace_.vms.size(); ++i) {
    VmSpec vm;
    vm.guest = trace_.vms[i].guest;
    vm.vcpus = trace_.vms[i].vcpus;
    vm.policy = policies.size() == 1 ? policies.front() : policies[i];
    spec.vms.push_back(std::move(vm));
  }
  return spec;
}

}  // namespace vmm
