// Every run as a line of CSV: what all figures come from.
#include <fmt/ranges.h>

#include "vmm/cli/table.h"
#include "vmm/report/report.h"

namespace vmm {
namespace {

std::string number(double value) { return fmt::format("{}", value); }

std::vector<std::string> titles() {
  std::vector<std::string> row{
      "backend", "guest",  "vms",       "vcpus", "workers", "policy", "block",    "attempt",
      "slot",    "counts", "disturbed", "seed",  "seconds", "took",   "steal_ms", "involuntary_switches",
      "mhz"};
  for (const MetricInfo& metric : metrics()) {
    if (metric.of != nullptr) row.emplace_back(metric.name);
  }
  row.emplace_back("vm_ops_per_second");
  row.emplace_back("cpu_changes");
  return row;
}

std::vector<std::string> run_row(const CellInfo& cell, const RunRecord& run, bool counts, bool disturbed) {
  std::vector<std::string> row{cell.backend,
                               cell.guest,
                               std::to_string(cell.vms),
                               std::to_string(cell.vcpus_in_all),
                               std::to_string(cell.workers),
                               cell.labels[run.id.slot],
                               std::to_string(run.id.block),
                               std::to_string(run.id.attempt),
                               std::to_string(run.id.slot),
                               counts ? "1" : "0",
                               disturbed ? "1" : "0",
                               std::to_string(run.seed),
                               number(run.seconds),
                               run.took > 0 ? number(run.took) : "",
                               number(run.noise.steal_ms),
                               std::to_string(run.noise.involuntary_switches),
                               run.noise.mhz ? number(*run.noise.mhz) : ""};
  for (const MetricInfo& metric : metrics()) {
    if (metric.of == nullptr) continue;
    const double* value = run.metric(metric.name);
    row.push_back(value == nullptr ? "" : number(*value));
  }
  std::string each;
  for (const double ops : run.vm_ops_per_second) each += (each.empty() ? "" : ";") + number(ops);
  row.push_back(std::move(each));
  row.push_back(fmt::format("{}", fmt::join(run.noise.cpu_changes, "; ")));
  return row;
}

}  // namespace

std::string runs_csv(const ReportInput& input) {
  std::string text = csv_line(titles());
  for (const CellFindings& findings : input.cells) {
    const CellInfo& cell = findings.cell;
    for (uint32_t block = 0; block < input.runs->block_count(cell); ++block) {
      const auto counting = input.runs->counting_attempt(cell, block);
      for (uint32_t attempt = 0; counting && attempt <= *counting; ++attempt) {
        const bool disturbed = is_disturbed(input.design, cell, *input.runs, block, attempt);
        for (const RunRecord* run : input.runs->attempt(cell, block, attempt)) {
          if (run != nullptr) text += csv_line(run_row(cell, *run, attempt == *counting, disturbed));
        }
      }
    }
  }
  return text;
}

}  // namespace vmm
