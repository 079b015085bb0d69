// Specs and results as JSON, fields in a fixed order. `result` holds nothing that differs between two runs of
// the simulator with one seed: no instants, no host. Any thread.
#pragma once

#include <string>
#include <vector>

#include "vmm/cli/host.h"
#include "vmm/json.h"
#include "vmm/run/cpu_choice.h"
#include "vmm/run_types.h"

namespace vmm {

inline constexpr int kRunSchemaVersion = 1;

Json host_json(const HostDescription& host);
Json cpus_json(const CpuChoice& choice);
Json moves_json(const MovesWeighed& moves);
Json policy_json(const sched::Policy& policy);
Json spec_json(const RunSpec& spec);
Json result_json(const RunSpec& spec, const RunResult& result);

// One run of `kvmux run`, with all that is needed to repeat it.
struct FinishedRun {
  RunSpec spec;
  RunResult result;
};
// `cpus`: that the runs were on, null in the simulator.
Json run_document(const std::vector<std::string>& command, const HostDescription& host, const Json& cpus,
                  const std::vector<FinishedRun>& runs);

std::string_view backend_name(Backend backend);

}  // namespace vmm
