// The report: a comparison, and traces of it if there are any, as one HTML page that needs no network. All
// figures are computed here and embedded as JSON; the page's scripts draw them and compute no statistics.
//
//   report_page(report_data(input), *embedded_parts()) → the page's text
//
// Pure but for folder_parts(), which reads files. Any thread.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/cli/host.h"
#include "vmm/stats/analysis.h"
#include "vmm/trace/trace_file.h"

namespace vmm {

struct NamedTrace {
  std::string name;  // of its file
  Trace trace;
};

// The stretch of a trace that is drawn, after its measured window began; a length of 0 is all of it.
struct TraceStretch {
  int64_t from_ns = 0;
  int64_t length_ns = 0;
};

struct ReportInput {
  std::span<const CellFindings> cells;
  const RunTable* runs = nullptr;
  Design design;         // the rule for disturbed blocks, the seed of the intervals
  std::string baseline;  // label, as analyse() took it
  double margin = kDefaultMargin;
  Json cpus;                   // Findings::cpus
  std::vector<Json> sessions;  // lines of the result file, or one that says the same of this process
  std::vector<NamedTrace> traces;
  TraceStretch stretch;
  std::vector<std::string> made_by;  // the command that makes the report
};

inline constexpr int kReportPageSchemaVersion = 1;

Json report_data(const ReportInput& input);

// One line a run, all metrics, the attempts that do not count as well.
std::string runs_csv(const ReportInput& input);

// Figures of the runs of a cell that count, beyond its findings: one entry a policy in each list.
Json cell_details(const CellFindings& cell, const ReportInput& input);

// What a trace says of its stretch (stays, waits, yields, IPIs) and as a whole (who preempted whom, yields by
// reason and outcome, waits and wake-ups).
Json trace_json(const NamedTrace& trace, TraceStretch stretch);

// "kvmux does 2.41 times the work of host-yield on lock (95 % interval 1.70 … 3.20): better." Empty for the
// baseline. `where` names the cell.
std::string finding_sentence(const CellFindings& cell, const PolicyFindings& policy, const Finding& finding,
                             const std::string& where, double margin);
// The shortest names that tell the cells apart: "lock", "lock 2 × 4", "lock (ttas, …) 2 × 4, simulated".
std::vector<std::string> cell_names(std::span<const CellFindings> cells);

// Files of vmm/report/page/ and of the charting library by name: "page.html", "forest.js", "plot.js".
using PageParts = std::function<std::optional<std::string>(std::string_view name)>;
PageParts embedded_parts();
// From a folder, for work on the page; what is not there comes from the program.
PageParts folder_parts(const std::string& folder);
// False: the program was built without the charting library, and the page shows tables.
bool has_charts(const PageParts& parts);

std::string report_page(const Json& data, const PageParts& parts);

}  // namespace vmm
