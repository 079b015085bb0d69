// From a trace to what its guests did between scheduling points, for the simulator to do it again under
// another policy. Pure, any thread.
//
// Taken from the trace: time in the guest between marks, IPIs, halts. Left out, because the replay makes them
// anew: busy-waits, time off the workers, interrupt stubs, exits. docs/replay.md says what that holds for.
#pragma once

#include <memory>
#include <vector>

#include "sched/sim/replay.h"
#include "vmm/trace/trace_file.h"

namespace vmm {

struct RecordedVm {
  std::shared_ptr<sched::sim::ReplayScript> script;
  uint64_t operations = 0;       // between begin and end
  int64_t unexplained = 0;       // ns of busy-waiting of which nobody knows what ended it
  int64_t in_guest = 0;          // ns
  std::vector<uint32_t> places;  // of its vCPUs at the beginning: the worker
};

struct Recording {
  std::vector<RecordedVm> vms;
  int64_t begin = 0;  // of what the scripts hold, by the trace's clock
  int64_t end = 0;
};

struct ScriptOptions {
  int64_t entry_cost = 0;  // ns of each stay in the guest that are the host's: entering and leaving
};

// Errors name what the trace lacks: our scheduler's decisions, guests' marks, or the beginning.
[[nodiscard]] Result<Recording> recording_of(const Trace& trace, const ScriptOptions& options);

}  // namespace vmm
