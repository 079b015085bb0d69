// Flags that compare and sweep share: how often, how exactly, and where results go. Main thread.
#pragma once

#include <string>
#include <vector>

#include "vmm/cli/command.h"
#include "vmm/cli/grid.h"
#include "vmm/cli/report.h"
#include "vmm/cli/run_tracer.h"
#include "vmm/json.h"

namespace CLI {
class App;
}

namespace vmm {

struct CompareOptions {
  RunFlags flags;
  std::string repeat = "5";
  std::string until_ci;
  bool until_settled = false;
  std::string max_time;
  std::string baseline;
  std::string margin = "3%";
  std::string max_steal = "5%";
  std::string metrics = "throughput";
  std::vector<std::string> handicaps;
  std::string design = "blocks";
  std::string period = "auto";
  std::string washout = "auto";
  std::string processes = "1";
  std::string part;  // of --processes: what this one of them measures
  std::string shard;
  std::string jobs = "1";
  TraceFlags trace;
  bool plan = false;
  std::string out;
  std::string from;
  std::string csv;
  std::string markdown;
  std::string json;
  std::string report;
  bool efficiency = false;
  bool published = false;
  bool plain = false;
  bool live = false;
};

void add_compare_flags(CLI::App& app, CompareOptions& options);

// The design that the flags ask for; `labels` are the slots' labels.
[[nodiscard]] Result<Design> make_design(const CompareOptions& options,
                                         const std::vector<std::string>& labels, uint64_t seed);

// --design, --period, --washout, into the grid's options; refuses what turns cannot have.
[[nodiscard]] Result<void> read_turns(const CompareOptions& options, GridOptions& grid);

[[nodiscard]] Result<std::vector<const MetricInfo*>> parse_metrics(std::string_view flag,
                                                                   std::string_view list);

// `I/N`: the cells whose place in the grid leaves I - 1 when divided by N, whatever else there is to do.
// Tells each its place, by which `kvmux merge` puts them in order again.
[[nodiscard]] Result<void> keep_shard(std::string_view text, std::vector<Cell>& cells);

// What there is to print: measured now, or read from a file.
struct Findings {
  std::vector<CellFindings> cells;
  RunTable runs;
  Design design;
  std::vector<Json> sessions;  // of the result file, this process's last
  Measured measured;
  bool planned_only = false;
  double margin = kDefaultMargin;
  Json cpus;  // that all policies ran on, with notes; null where none are known
};
// Reads --from, or measures what the request asks for.
[[nodiscard]] Result<Findings> gather(const CompareOptions& options, Services& services);
[[nodiscard]] Result<Findings> measure_request(const CompareOptions& options, const Request& request,
                                               Services& services);

// Writes --csv, --markdown, --json and --report.
[[nodiscard]] Result<void> write_files(const CompareOptions& options, const Findings& findings,
                                       const ReportOptions& report_options, Services& services);

// The file that --report writes. Without the flag, what is measured is reported beside the result file, or
// in `standard` (none if that is empty), unless the results go to another program. Empty: none.
[[nodiscard]] std::string report_file(const CompareOptions& options, const std::string& standard);
// The last thing a comparison does: writes its report and names it on the standard error.
[[nodiscard]] Result<void> write_report(const CompareOptions& options, const Findings& findings,
                                        Services& services);

// After printing: 0, 1 if a guest failed, 130 after Ctrl-C, or the error that ended the measuring.
[[nodiscard]] Result<int> outcome(const Measured& measured);

}  // namespace vmm
