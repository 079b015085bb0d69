#include "vmm/cli/live_cells.h"

#include "vmm/cli/report.h"
#include "vmm/cli/table.h"

namespace vmm {
namespace {

LiveRow row_of(const PolicyFindings& policy) {
  LiveRow row{.policy = policy.label, .throughput = "-", .ratio = "", .interval = "", .verdict = ""};
  const Finding* const finding = policy.find(kThroughput);
  if (finding == nullptr) return row;
  row.runs = finding->runs;
  row.throughput = with_unit(Unit::kRate, finding->median);
  row.verdict = verdict_text(*finding);
  if (!finding->ratio) return row;
  row.ratio = ratio_text(finding->ratio->ratio);
  row.interval = interval_text(*finding->ratio);
  return row;
}

}  // namespace

LiveCells::LiveCells(LiveView& view, const Experiment& experiment, AnalysisOptions options)
    : view_(view), experiment_(experiment), options_(std::move(options)) {
  const auto cells = experiment_.cells();
  for (size_t i = 0; i < cells.size(); ++i) {
    const CellInfo& info = cells[i].info;
    cells_.push_back({.title = info.guest + ", " + info.size, .cell = i, .cells = cells.size(), .rows = {}});
  }
  if (!cells.empty()) update(cells.front());  // a result file may have runs of it
}

void LiveCells::begin(const std::string& what, const std::string& how_far) {
  view_.set_title("compare  " + what, how_far);
}

void LiveCells::update(const Cell& cell) {
  const auto cells = experiment_.cells();
  for (size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].info.key != cell.info.key) continue;
    cells_[i].rows.clear();
    for (const CellFindings& findings : analyse(std::span(&cells[i].info, 1), experiment_.runs(), options_)) {
      for (const PolicyFindings& policy : findings.policies) cells_[i].rows.push_back(row_of(policy));
    }
    view_.set_cells(cells_, i);
  }
}

}  // namespace vmm
