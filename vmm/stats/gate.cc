#include "vmm/stats/gate.h"

#include <algorithm>

#include "sched/policy/parse.h"

namespace vmm {
namespace {

bool same_setup(const CellInfo& a, const CellInfo& b) {
  return a.guest == b.guest && a.size == b.size && a.workers == b.workers && a.backend == b.backend &&
         a.seconds == b.seconds && !a.switchback && !b.switchback;
}

std::vector<double> values(const ResultSet& set, const CellInfo& cell, size_t slot,
                           const MetricInfo& metric) {
  std::vector<double> result;
  for (uint32_t block = 0; block < set.runs.block_count(cell); ++block) {
    const auto attempt = set.runs.counting_attempt(cell, block);
    if (!attempt) continue;
    const double value = metric_value(set.runs.attempt(cell, block, *attempt), slot, cell, metric);
    if (value == value) result.push_back(value);  // not NaN
  }
  return result;
}

struct Place {
  const CellInfo* cell;
  size_t slot;
};

std::optional<Place> find_place(const ResultSet& set, const CellInfo& cell, const std::string& label) {
  for (const CellInfo& other : set.cells) {
    if (!same_setup(cell, other)) continue;
    const auto slot =
        std::find_if(other.labels.begin(), other.labels.end(), [&label](const std::string& its) {
          return sched::with_new_names(its) == sched::with_new_names(label);
        });
    if (slot != other.labels.end()) return Place{&other, static_cast<size_t>(slot - other.labels.begin())};
  }
  return std::nullopt;
}

}  // namespace

size_t GateResult::count(Verdict verdict) const {
  return static_cast<size_t>(std::count_if(rows.begin(), rows.end(),
                                           [verdict](const GateRow& row) { return row.verdict == verdict; }));
}

bool GateResult::holds(const GateOptions& options) const {
  return !rows.empty() && count(Verdict::kWorse) == 0 &&
         !(options.inconclusive_fails && count(Verdict::kInconclusive) != 0);
}

GateResult gate(const ResultSet& tested, const ResultSet& against, const GateOptions& options) {
  GateResult result;
  for (const CellInfo& cell : against.cells) {
    for (size_t slot = 0; slot < cell.labels.size(); ++slot) {
      if (static_cast<int>(slot) == cell.reference) continue;
      const std::string& label = cell.labels[slot];
      const auto place = find_place(tested, cell, label);
      const auto old_values = values(against, cell, slot, *options.metric);
      const auto new_values =
          place ? values(tested, *place->cell, place->slot, *options.metric) : std::vector<double>{};
      const uint64_t seed = options.design.seed ^ fingerprint(cell.guest + cell.size + label);
      const auto ratio = unpaired_ratio(new_values, old_values, seed);
      if (!ratio) {
        result.unmatched.push_back(cell.guest + " " + cell.size + " " + label);
        continue;
      }
      result.rows.push_back({cell, label, median(new_values), median(old_values), *ratio});
    }
  }
  std::vector<double> p_values;
  for (const GateRow& row : result.rows) p_values.push_back(row.ratio.p);
  const std::vector<double> adjusted = holm(p_values);
  for (size_t i = 0; i < adjusted.size(); ++i) {
    GateRow& row = result.rows[i];
    row.p_adjusted = adjusted[i];
    row.verdict = judge_gate(row.ratio, adjusted[i], options.worse_than, options.metric->better);
  }
  return result;
}

}  // namespace vmm
