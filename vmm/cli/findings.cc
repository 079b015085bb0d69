// From the flags of compare and sweep to findings: measured now, or read from a file.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <span>

#include "vmm/cli/compare_options.h"
#include "vmm/cli/linux_guest.h"
#include "vmm/cli/live_cells.h"
#include "vmm/cli/processes.h"
#include "vmm/cli/renamed.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/table.h"
#include "vmm/run/moves.h"

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

Result<Findings> read_findings(const CompareOptions& options, std::ostream& err) {
  auto contents = read_journal(options.from);
  if (!contents) return tl::unexpected(contents.error());
  note_renamed(contents->cells, options.from, err);
  const auto seed = parse_count("--seed", options.flags.seed, {0, INT64_MAX});
  if (!seed) return tl::unexpected(seed.error());
  const auto design = make_design(options, policy_labels(contents->cells), static_cast<uint64_t>(*seed));
  if (!design) return tl::unexpected(design.error());
  RunTable runs;
  for (RunRecord& run : contents->runs) runs.add(std::move(run));
  Findings findings;
  findings.margin = design->margin;
  for (const Json& session : contents->sessions) {
    if (session.contains("cpus")) findings.cpus = session["cpus"];
  }
  findings.cells = analyse(contents->cells, runs, analysis_options(*design, options.baseline));
  findings.runs = std::move(runs);
  findings.design = *design;
  findings.sessions = std::move(contents->sessions);
  return findings;
}

Result<GridOptions> grid_options(const CompareOptions& options, std::span<const sched::Policy> policies) {
  GridOptions grid;
  grid.with_reference = options.efficiency;
  for (const std::string& handicap : options.handicaps) {
    if (const auto parsed = parse_handicap(handicap, policies.size(), grid); !parsed)
      return tl::unexpected(parsed.error());
  }
  if (auto read = read_turns(options, grid); !read) return Failure(read.error());
  std::vector<std::string> names;
  for (const sched::Policy& policy : policies) names.push_back(policy.name);
  const auto labels = unique_labels(names);
  const auto found = std::find(labels.begin(), labels.end(), options.baseline);
  if (found != labels.end()) grid.baseline = static_cast<size_t>(found - labels.begin());
  return grid;
}

Result<uint32_t> read_processes(const CompareOptions& options, const Design& design) {
  const auto processes = parse_count("--processes", options.processes, {1, 1000});
  if (!processes) return Failure(processes.error());
  if (*processes == 1) return 1;
  if (!options.until_ci.empty() || options.until_settled) {
    return usage_error("--processes, --until-ci, --until-settled",
                       "a process does not see the results of the others; use --repeat");
  }
  if (!options.trace.file.empty()) return usage_error("--processes, --trace", "a trace is of one process");
  if (options.live) return usage_error("--processes, --live", "a view is of one process");
  if (*processes > design.blocks) {
    return bad_value("--processes", options.processes,
                     fmt::format("at most as many as blocks (--repeat {})", design.blocks));
  }
  return static_cast<uint32_t>(*processes);
}

Findings print_plan(const std::vector<Cell>& cells, const Design& design, Services& services) {
  size_t runs = 0;
  double seconds = 0;
  for (const Cell& cell : cells) {
    runs += cell.slots.size() * design.blocks;
    for (const Slot& slot : cell.slots) {
      seconds += static_cast<double>((slot.spec.warmup + slot.spec.duration).count()) / 1e9 * design.blocks;
    }
  }
  services.out << fmt::format("{} cells, {} runs of {} blocks; {} in the guests\n", cells.size(), runs,
                              design.blocks, rough_time(seconds));
  Findings findings;
  findings.planned_only = true;
  return findings;
}

}  // namespace

Result<Findings> measure_request(const CompareOptions& options, const Request& request, Services& services) {
  auto grid = grid_options(options, request.policies);
  if (!grid) return tl::unexpected(grid.error());
  RunSpec asks = request.setups.front().spec;
  for (const auto& carriers : request.carriers) {
    if (carriers == Carriers::kOn) asks.carriers = Carriers::kOn;
  }
  grid->move_costs = services.move_cost(asks);
  std::vector<std::string> fallen_back;
  auto cells = make_cells(request, *grid, fallen_back);
  if (!cells) return tl::unexpected(cells.error());
  for (const std::string& line : fallen_back) services.err << "kvmux: --design switchback: " << line << "\n";
  const auto jobs = parse_count("--jobs", options.jobs, {1, 1024});
  if (!jobs) return tl::unexpected(jobs.error());
  const bool simulated = request.setups.front().spec.backend == Backend::kSim;
  if (*jobs > 1 && !simulated) {
    return bad_value("--jobs", options.jobs, "1: real guests share the CPUs and run one after the other");
  }
  if (*jobs > 1 && !options.trace.file.empty()) {
    return bad_value("--jobs", options.jobs, "1 with --trace: runs are traced one after the other");
  }
  if (!options.shard.empty() && options.until_settled) {
    return usage_error("--shard, --until-settled",
                       "a shard does not see the verdicts of the others; use --repeat");
  }
  const uint64_t seed = request.setups.front().spec.seed;
  auto design = make_design(options, policy_labels(infos(*cells)), seed);
  if (!design) return tl::unexpected(design.error());
  const auto processes = read_processes(options, *design);
  if (!processes) return Failure(processes.error());
  Part part;
  if (!options.part.empty()) {
    auto given = parse_part(options.part);
    if (!given) return Failure(given.error());
    part = std::move(*given);
    design->process = part.process;
    design->processes = part.processes;
  }
  const bool is_part = !options.part.empty();
  if (!options.shard.empty()) {
    if (const auto kept = keep_shard(options.shard, *cells); !kept) return tl::unexpected(kept.error());
  }
  if (options.plan) return print_plan(*cells, *design, services);
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

  Conditions conditions;
  if (!simulated) {
    const CpuChoice choice = services.choose_cpus(request.setups.front().spec.workers, request.cpus);
    if (!is_part) services.err << fmt::format("kvmux: every policy runs on CPUs {}\n", choice.words());
    conditions.cpus = cpus_json(choice);
  }
  if (const auto moves = moves_of(*cells, grid->move_costs)) {
    const Backend backend = request.setups.front().spec.backend;
    if (!is_part) services.err << fmt::format("kvmux: {}\n", moves_text(*moves, backend));
    conditions.moves = moves_json(*moves);
  }
  if (is_part) max_time = part.max_time;
  Experiment experiment(std::move(*cells), *design);
  for (const CellInfo& info : cell_infos) {
    if (info.period > 0) experiment.set_turns(info.key, info.period, info.washout);
  }
  auto journal = open_results(is_part ? part.file : options.out, experiment, conditions, services);
  if (!journal) return tl::unexpected(journal.error());
  const auto tracer = RunTracer::open(options.trace, services.command_line);
  if (!tracer) return tl::unexpected(tracer.error());
  Journal* const out = *journal ? &**journal : nullptr;
  if (!is_part) print_warnings(request, services.err);
  Findings findings;
  findings.margin = design->margin;
  findings.cpus = conditions.cpus;
  const auto finish = [&](Measured measured) {
    findings.measured = std::move(measured);
    findings.planned_only = is_part;
    if (is_part) return;
    findings.runs = experiment.runs();
    findings.design = *design;
    if (*journal) findings.sessions = (*journal)->contents().sessions;
    findings.sessions.push_back(session_line(services, conditions));
    findings.cells =
        analyse(infos(experiment.cells()), experiment.runs(), analysis_options(*design, options.baseline));
  };
  if (*processes > 1 && !is_part) {
    finish(measure_in_processes(experiment, out, *processes, max_time, services));
    return findings;
  }
  std::vector<std::string> reads;
  for (const Setup& setup : request.setups) {
    for (std::string& file : files_read_by(setup.spec)) reads.push_back(std::move(file));
  }
  std::unique_ptr<LiveView> view;
  if (options.live) {
    auto opened = LiveView::open(LiveView::Of::kCompare, services.control.stop);
    if (!opened) return Failure(opened.error());
    view = std::move(*opened);
  }
  if (auto confined =
          confine(services, std::move(reads),
                  {options.csv, options.markdown, options.json, report_file(options, services.report_file)});
      !confined) {
    return tl::unexpected(confined.error());
  }
  std::optional<LiveCells> live;
  if (view != nullptr) {
    if (auto started = view->start(); !started) return Failure(started.error());
    AnalysisOptions live_options = analysis_options(*design, options.baseline);
    live_options.only = find_metric(kThroughput);
    live.emplace(*view, experiment, live_options);
    services.control.observer = view.get();
  }
  Measured measured = measure_all(experiment, out,
                                  {.max_time = max_time,
                                   .jobs = static_cast<size_t>(*jobs),
                                   .tracer = tracer->get(),
                                   .live = live ? &*live : nullptr},
                                  services);
  services.control.observer = nullptr;
  view.reset();  // what was printed meanwhile appears
  finish(std::move(measured));
  return findings;
}

Result<Findings> gather(const CompareOptions& options, Services& services) {
  if (!options.from.empty() && !options.out.empty()) {
    return usage_error("--from, --out", "one reads results, the other measures; give one of them");
  }
  if (!options.from.empty() && options.live) {
    return usage_error("--from, --live", "nothing runs that could be watched; give one of them");
  }
  if (!options.from.empty()) return read_findings(options, services.err);
  auto request = interpret(options.flags, kDefaultSeconds, services.limits);
  if (!request) return tl::unexpected(request.error());
  if (auto able = prepare_linux_guests(*request, options.flags.force, services); !able) {
    return Failure(able.error());
  }
  return measure_request(options, *request, services);
}

}  // namespace vmm
