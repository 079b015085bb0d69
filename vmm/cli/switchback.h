// The switchback design: VMs boot once, and the policies take turns while the guests run. What one boot is
// asked to do, and what its turns make of as runs of blocks. Pure, main thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/result.h"
#include "vmm/stats/analysis.h"
#include "vmm/stats/experiment.h"

namespace vmm {

struct TurnLengths {
  Nanos period{};
  Nanos washout{};  // of it
};

// Nothing if the VMs of a run can go from one of these specifications to the other and back while guests run;
// else why not.
[[nodiscard]] std::string why_not_in_turns(const RunSpec& a, const RunSpec& b);

// The wash-out is two of the longest turns on a worker that any of the policies gives; the period five
// wash-outs, 20 ms at the least.
[[nodiscard]] TurnLengths default_turns(const Cell& cell);

// By the ratio in the first halves of the counted turns over that in the second: would longer turns be
// better?
[[nodiscard]] bool feels_the_turn_before(const CellFindings& cell);

// One boot: the runs that are wanted, each a turn, in this order.
struct Session {
  RunSpec spec;
  std::vector<RunId> turns;
};
[[nodiscard]] Session make_session(std::span<const Experiment::Next> wanted, const TurnLengths& turns);

// The turns that were run to their end, of whole blocks, as runs. `took`: by the clock, boot included; 0 in
// the simulator.
[[nodiscard]] std::vector<RunRecord> records_of(const Session& session, const RunResult& result, Nanos took);

// Metrics that guests count themselves, which a turn has.
[[nodiscard]] std::span<const std::string_view> turn_metrics();

}  // namespace vmm
