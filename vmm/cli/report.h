// Findings as text, Markdown, CSV and JSON. Pure, any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/cli/host.h"
#include "vmm/json.h"
#include "vmm/stats/analysis.h"

namespace vmm {

enum class ReportStyle : uint8_t { kText, kMarkdown };

struct ReportOptions {
  std::vector<const MetricInfo*> metrics;  // a table each
  bool published = false;                  // beside throughput, where the set-up fits or whenever asked for
  bool published_everywhere = false;
  double margin = kDefaultMargin;
};

// Cells with runs, those of one guest, number of workers and backend together.
using CellGroup = std::vector<const CellFindings*>;
std::vector<CellGroup> by_guest(std::span<const CellFindings> findings);

std::string report(std::span<const CellFindings> findings, const ReportOptions& options, ReportStyle style);

// What else the throughputs of these cells say: carry-over of turns, processes, two levels, places in the
// block.
std::string report_notes(const CellGroup& cells);

// How the figures came about: blocks, method, host noise, what is missing.
std::string report_footer(std::span<const CellFindings> findings, const ReportOptions& options);

// A line for each cell, policy and metric, all metrics.
std::string report_csv(std::span<const CellFindings> findings);

// `cpus`: Findings::cpus.
Json report_json(std::span<const CellFindings> findings, const std::vector<std::string>& command,
                 const HostDescription& host, const Json& cpus);

// The verdict in words; "no ratio" where a 0 stands in the way.
std::string verdict_text(const Finding& finding);
// "12 more blocks, 3 min": what would settle an inconclusive row at the noise seen, else empty. The
// simulator's blocks take no time that means anything.
std::string to_settle(const CellFindings& cell, const Finding& finding);
void count_verdicts(VerdictCounts& counts, const CellFindings& cell, std::string_view metric);

// "1.474" and "1.441 … 1.502".
std::string ratio_text(double ratio);
std::string interval_text(const RatioEstimate& ratio);

}  // namespace vmm
