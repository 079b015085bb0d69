// How one policy stands against the best of the others, cell by cell: what a heat map shows. Pure, any
// thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/stats/experiment.h"

namespace vmm {

struct StandingOptions {
  std::string policy;                  // label; keys of policies may have their old names
  const MetricInfo* metric = nullptr;  // one of which a direction is good
  const MetricInfo* beside = nullptr;  // median of the policy and of its rival; nullptr: none
};

struct Standing {
  CellInfo cell;
  // Median of the policy's ratios to `rival` within blocks, above 1 where the policy is better. Nothing if no
  // block has a run of the policy and one of another.
  std::optional<double> ratio;
  std::string rival;  // the policy of which this ratio is smallest
  std::optional<double> beside;
  std::optional<double> rivals_beside;  // the same of the rival: what its throughput may be bought with
};

// The cells that have a slot of this policy and one of another, in their order.
std::vector<Standing> standings(std::span<const CellInfo> cells, const RunTable& runs,
                                const StandingOptions& options);

}  // namespace vmm
