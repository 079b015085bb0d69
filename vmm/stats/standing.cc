#include "vmm/stats/standing.h"

#include <algorithm>
#include <cmath>

#include "sched/policy/parse.h"
#include "vmm/stats/analysis.h"
#include "vmm/stats/sample.h"

namespace vmm {
namespace {

std::vector<BlockRuns> counting_blocks(const CellInfo& cell, const RunTable& runs) {
  std::vector<BlockRuns> blocks;
  for (uint32_t block = 0; block < runs.block_count(cell); ++block) {
    if (const auto attempt = runs.counting_attempt(cell, block))
      blocks.push_back(runs.attempt(cell, block, *attempt));
  }
  return blocks;
}

// Nothing where one of the two is missing or did nothing at all: there is no ratio to 0.
std::optional<double> ratio_in(const BlockRuns& block, const CellInfo& cell, size_t ours, size_t theirs,
                               const MetricInfo& metric) {
  double above = metric_value(block, ours, cell, metric);
  double below = metric_value(block, theirs, cell, metric);
  if (metric.better == Better::kLower) std::swap(above, below);
  if (std::isnan(above) || std::isnan(below) || below <= 0) return std::nullopt;
  return above / below;
}

std::optional<double> median_of(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  return median(std::move(values));
}

void against_the_best(Standing& standing, const std::vector<BlockRuns>& blocks, size_t ours,
                      const MetricInfo& metric) {
  const CellInfo& cell = standing.cell;
  for (size_t slot = 0; slot < cell.labels.size(); ++slot) {
    if (slot == ours || static_cast<int>(slot) == cell.reference) continue;
    std::vector<double> ratios;
    for (const BlockRuns& block : blocks) {
      if (const auto ratio = ratio_in(block, cell, ours, slot, metric)) ratios.push_back(*ratio);
    }
    const auto ratio = median_of(std::move(ratios));
    if (!ratio || (standing.ratio && *standing.ratio <= *ratio)) continue;
    standing.ratio = ratio;
    standing.rival = cell.labels[slot];
  }
}

std::optional<double> median_over(const std::vector<BlockRuns>& blocks, const CellInfo& cell, size_t slot,
                                  const MetricInfo& metric) {
  std::vector<double> values;
  for (const BlockRuns& block : blocks) {
    const double value = metric_value(block, slot, cell, metric);
    if (!std::isnan(value)) values.push_back(value);
  }
  return median_of(std::move(values));
}

std::optional<size_t> slot_of(const CellInfo& cell, const std::string& policy) {
  for (size_t slot = 0; slot < cell.labels.size(); ++slot) {
    const bool is_policy = static_cast<int>(slot) != cell.reference;
    if (is_policy && sched::with_new_names(cell.labels[slot]) == sched::with_new_names(policy)) return slot;
  }
  return std::nullopt;
}

}  // namespace

std::vector<Standing> standings(std::span<const CellInfo> cells, const RunTable& runs,
                                const StandingOptions& options) {
  std::vector<Standing> result;
  for (const CellInfo& cell : cells) {
    const auto slot = slot_of(cell, options.policy);
    const size_t others = cell.labels.size() - (cell.reference < 0 ? 1 : 2);
    if (!slot || others == 0) continue;
    Standing& standing = result.emplace_back(Standing{cell, {}, {}, {}, {}});
    const auto blocks = counting_blocks(cell, runs);
    against_the_best(standing, blocks, *slot, *options.metric);
    if (options.beside == nullptr) continue;
    standing.beside = median_over(blocks, cell, *slot, *options.beside);
    if (const auto rival = slot_of(cell, standing.rival))
      standing.rivals_beside = median_over(blocks, cell, *rival, *options.beside);
  }
  return result;
}

}  // namespace vmm
