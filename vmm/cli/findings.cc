// From the flags of compare and sweep to findings: measured now, or read from a file.
#include <algorithm>
#include <ostream>

#include "vmm/cli/compare_options.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr Nanos kDefaultSeconds = 1s;

AnalysisOptions analysis_options(const Design& design, const std::string& baseline) {
  return {.design = design, .baseline = baseline, .margin = design.margin};
}

std::vector<CellInfo> infos(std::span<const Cell> cells) {
  std::vector<CellInfo> result;
  for (const Cell& cell : cells) result.push_back(cell.info);
  return result;
}

// The labels of all slots of all cells, for naming a baseline; with their policies' order.
std::vector<std::string> policy_labels(std::span<const CellInfo> cells) {
  std::vector<std::string> labels;
  for (const CellInfo& cell : cells) {
    for (size_t slot = 0; slot < cell.labels.size(); ++slot) {
      if (static_cast<int>(slot) == cell.reference) continue;
      if (std::find(labels.begin(), labels.end(), cell.labels[slot]) == labels.end()) {
        labels.push_back(cell.labels[slot]);
      }
    }
  }
  return labels;
}

Result<Findings> read_findings(const CompareOptions& options) {
  auto contents = read_journal(options.from);
  if (!contents) return tl::unexpected(contents.error());
  const auto seed = parse_count("--seed", options.flags.seed, {0, INT64_MAX});
  if (!seed) return tl::unexpected(seed.error());
  const auto design = make_design(options, policy_labels(contents->cells), static_cast<uint64_t>(*seed));
  if (!design) return tl::unexpected(design.error());
  RunTable runs;
  for (RunRecord& run : contents->runs) runs.add(std::move(run));
  Findings findings;
  findings.margin = design->margin;
  findings.cells = analyse(contents->cells, runs, analysis_options(*design, options.baseline));
  return findings;
}

Result<GridOptions> grid_options(const CompareOptions& options, size_t policies) {
  GridOptions grid;
  grid.with_reference = options.efficiency;
  for (const std::string& handicap : options.handicaps) {
    if (const auto parsed = parse_handicap(handicap, policies, grid); !parsed)
      return tl::unexpected(parsed.error());
  }
  return grid;
}

}  // namespace

Result<Findings> measure_request(const CompareOptions& options, const Request& request, Services& services) {
  const auto grid = grid_options(options, request.policies.size());
  if (!grid) return tl::unexpected(grid.error());
  auto cells = make_cells(request, *grid);
  if (!cells) return tl::unexpected(cells.error());
  const uint64_t seed = request.setups.front().spec.seed;
  const auto design = make_design(options, policy_labels(infos(*cells)), seed);
  if (!design) return tl::unexpected(design.error());
  if (!design->until_settled.empty()) {
    for (Cell& cell : *cells) cell.info.first_look = design->blocks;
  }
  const std::vector<CellInfo> cell_infos = infos(*cells);
  Nanos max_time{0};
  if (!options.max_time.empty()) {
    const auto limit = parse_seconds("--max-time", options.max_time, 1s, std::chrono::hours{24 * 30});
    if (!limit) return tl::unexpected(limit.error());
    max_time = *limit;
  }

  Experiment experiment(std::move(*cells), *design);
  auto journal = open_results(options.out, experiment, services);
  if (!journal) return tl::unexpected(journal.error());
  print_warnings(request, services.err);
  std::vector<std::string> reads;
  for (const Setup& setup : request.setups) {
    for (std::string& file : files_read_by(setup.spec)) reads.push_back(std::move(file));
  }
  if (auto confined = confine(services, std::move(reads), {options.csv, options.markdown, options.json});
      !confined) {
    return tl::unexpected(confined.error());
  }
  Findings findings;
  findings.margin = design->margin;
  findings.measured = measure_all(experiment, *journal ? &**journal : nullptr, max_time, services);
  findings.cells = analyse(cell_infos, experiment.runs(), analysis_options(*design, options.baseline));
  return findings;
}

Result<Findings> gather(const CompareOptions& options, Services& services) {
  if (!options.from.empty() && !options.out.empty()) {
    return usage_error("--from, --out", "one reads results, the other measures; give one of them");
  }
  if (!options.from.empty()) return read_findings(options);
  const auto request = interpret(options.flags, kDefaultSeconds, services.limits);
  if (!request) return tl::unexpected(request.error());
  return measure_request(options, *request, services);
}

}  // namespace vmm
