// What is kept of a run of a comparison, and what is said of one. Pure, any thread.
#pragma once

#include <string>

#include "vmm/json.h"
#include "vmm/result.h"
#include "vmm/stats/experiment.h"

namespace vmm {

// `took`: by the clock, set-up included.
RunRecord make_record(const RunId& id, const RunSpec& spec, const RunResult& result, Nanos took);

// "lock (ttas) 2 × 4 block 3 v2".
std::string describe(const Experiment::Next& next);

// Of a run with has_guest_failure().
std::string first_failure(const RunResult& result);

// A line of the kind `failure`: kept for the reader, tried again by the next start.
Json failure_line(const Experiment::Next& next, const std::string& what);

// A line of the kind `note`: VMs that got nowhere in the whole window.
Json note_line(const Experiment::Next& next, const std::string& what);

// Of a run that was still stalled at its end: its figures are void.
Failure stall_error(const RunResult& result);

// "vm3: its vCPUs slept …, and 2 other VMs", or what was stalled for a while; empty: none.
std::string notes_of(const RunResult& result);

}  // namespace vmm
