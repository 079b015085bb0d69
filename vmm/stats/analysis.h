// From the runs of a comparison to its findings: per cell, policy and metric the ratio to the baseline with
// its interval and verdict, corrected for the number of comparisons. Pure and seeded. Any thread.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "vmm/stats/experiment.h"
#include "vmm/stats/sample.h"
#include "vmm/stats/serial.h"
#include "vmm/stats/shape.h"
#include "vmm/stats/verdict.h"

namespace vmm {

// How one policy did in one cell by one metric.
struct Finding {
  const MetricInfo* metric = nullptr;
  size_t runs = 0;
  double median = 0;
  double p10 = 0;  // tails over the runs
  double p90 = 0;
  std::optional<RatioEstimate> ratio;  // to the baseline; none for the baseline itself
  double p_adjusted = 1;
  Verdict verdict = Verdict::kBaseline;
  std::optional<size_t> more_blocks;  // that would settle an open verdict at the noise seen
};

struct PolicyFindings {
  std::string label;
  // Of its throughput: what is left of the turn before (switchback), what lies between processes, two levels.
  std::optional<RatioEstimate> carry_over;
  std::optional<BetweenProcesses> between;
  std::optional<Humps> humps;
  std::vector<Finding> findings;  // only metrics that its runs have
  [[nodiscard]] const Finding* find(std::string_view metric) const;
};

struct CellFindings {
  CellInfo cell;
  std::vector<PolicyFindings> policies;  // in the order of the slots, the reference run left out
  size_t blocks = 0;                     // with a counting run
  size_t repeated_blocks = 0;            // measured again because they were disturbed
  size_t disturbed_blocks = 0;           // that count although they were disturbed: attempts ran out
  double worst_steal = 0;                // of the counting runs, share of the workers' time
  std::set<std::string> cpu_changes;     // of all runs, those that do not count included
  std::optional<PlaceEffect> place;      // of a run in its block, on throughput
  double block_seconds = 0;              // that a block takes by the clock; 0 in the simulator
};

struct AnalysisOptions {
  Design design;         // seed and the rule for disturbed blocks
  std::string baseline;  // label; empty: the first
  double margin = kDefaultMargin;
  const MetricInfo* only = nullptr;  // this metric alone; nullptr: all
};

// One family of comparisons a metric, over all cells and policies.
std::vector<CellFindings> analyse(std::span<const CellInfo> cells, const RunTable& runs,
                                  const AnalysisOptions& options);

// The slot that ratios are taken to: the one of this label, else the first.
size_t baseline_slot(const CellInfo& cell, const std::string& label);

// The value of one run of a block, NaN if it has none; `efficiency` looks at the reference run as well,
// `regret` at all of them.
double metric_value(const BlockRuns& block, size_t slot, const CellInfo& cell, const MetricInfo& metric);

}  // namespace vmm
