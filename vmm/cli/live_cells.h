// --live of compare and sweep: what has been measured so far, by cell, for the view. Main thread.
#pragma once

#include <vector>

#include "vmm/live/view.h"
#include "vmm/stats/analysis.h"
#include "vmm/stats/experiment.h"

namespace vmm {

class LiveCells {
 public:
  // All are outlived by what they point to.
  LiveCells(LiveView& view, const Experiment& experiment, AnalysisOptions options);

  // What runs next, and how far all is.
  void begin(const std::string& what, const std::string& how_far);
  // Runs of this cell have been added: its ratios by now, of throughput, as if it were the only cell.
  void update(const Cell& cell);

 private:
  LiveView& view_;
  const Experiment& experiment_;
  const AnalysisOptions options_;
  std::vector<LiveComparison> cells_;  // in the experiment's order
};

}  // namespace vmm
