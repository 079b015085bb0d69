// A gate for continuous integration: did the results in one file lose against those in another? Pure, any
// thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/stats/analysis.h"

namespace vmm {

struct GateOptions {
  const MetricInfo* metric = nullptr;
  double worse_than = 0.05;
  Design design;  // seed, and the attempts that count
  bool inconclusive_fails = false;
};

struct GateRow {
  CellInfo cell;
  std::string label;
  double median = 0;          // of the file under test
  double against_median = 0;  // of the file it is held against
  RatioEstimate ratio;
  double p_adjusted = 1;
  Verdict verdict = Verdict::kInconclusive;
};

struct GateResult {
  std::vector<GateRow> rows;
  std::vector<std::string> unmatched;  // cells and policies that only the other file has: cannot be judged
  [[nodiscard]] size_t count(Verdict verdict) const;
  // No row is worse, none inconclusive if that fails, and there is at least one row.
  [[nodiscard]] bool holds(const GateOptions& options) const;
};

struct ResultSet {
  std::vector<CellInfo> cells;
  RunTable runs;
};

// Cells of a switchback are never matched: what its turns have in common with each other is not in two
// samples. Cells match by guest, size, workers, backend and seconds; policies by their label, keys of the
// past by their present names. The files were measured at different times, so the samples are compared
// unpaired; Holm's correction over all rows. A row is worse if the loss is significant and larger than
// `worse_than`, inconclusive if such a loss is neither shown nor excluded.
GateResult gate(const ResultSet& tested, const ResultSet& against, const GateOptions& options);

}  // namespace vmm
