// Makes the cells of a comparison out of setups and policies, and drives the measuring. Main thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vmm/cli/command.h"
#include "vmm/cli/run_tracer.h"
#include "vmm/cli/switchback.h"
#include "vmm/stats/experiment.h"
#include "vmm/stats/journal.h"

namespace vmm {

struct GridOptions {
  bool with_reference = false;                     // for `efficiency`
  std::vector<std::optional<uint32_t>> handicaps;  // percent, by policy; may be shorter than the policies
  // Policies that can take turns with the baseline do; the others are measured in blocks with it, in cells of
  // their own.
  bool switchback = false;
  size_t baseline = 0;
  TurnLengths turns;  // 0: to be chosen
  MoveCosts move_costs;  // where the runs are: vCPUs that stay where they begin decide what can take turns
};
// `fallen_back`: what is not measured in turns, and why; once each.
[[nodiscard]] Result<std::vector<Cell>> make_cells(const Request& request, const GridOptions& options,
                                                   std::vector<std::string>& fallen_back);

// `2=10%`: the second policy burns 10 % of every turn.
[[nodiscard]] Result<void> parse_handicap(std::string_view text, size_t policies, GridOptions& options);

class LiveCells;

struct Measured {
  bool interrupted = false;
  bool time_is_up = false;
  std::vector<std::string> guest_failures;
  std::optional<Error> error;  // the host's trouble; what was measured before it counts
};
struct MeasureLimits {
  Nanos max_time{0};            // 0: none
  size_t jobs = 1;              // simulated runs at a time, each on a thread of its own
  RunTracer* tracer = nullptr;  // --trace; with one job
  LiveCells* live = nullptr;    // --live; likewise
};
// Runs what the experiment asks for until it is done, `max_time` is over or Ctrl-C. Each run goes to the
// journal, if there is one, the moment it ends; those of several jobs in the order of the experiment.
Measured measure_all(Experiment& experiment, Journal* journal, const MeasureLimits& limits,
                     Services& services);

// What the runs of these cells make of dear moves, those with carriers before others; nothing: moves are
// cheap, or the host has all queues.
[[nodiscard]] std::optional<MovesWeighed> moves_of(const std::vector<Cell>& cells, const MoveCosts& costs);

// Where runs are made: of the session's line in a result file.
struct Conditions {
  Json cpus;   // that they use; null in the simulator
  Json moves;  // as moves_json(); null: they are cheap
};
// The line of a result file that says by which command, version and host the runs after it were measured.
Json session_line(const Services& services, const Conditions& conditions);

// Opens the result file, if one is named, and tells the experiment what it holds.
[[nodiscard]] Result<std::optional<Journal>> open_results(const std::string& path, Experiment& experiment,
                                                          const Conditions& conditions, Services& services);

}  // namespace vmm
