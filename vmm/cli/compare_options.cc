#include "vmm/cli/compare_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>

#include "sched/base/text.h"
#include "sched/policy/parse.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

void add_design_flags(CLI::App& app, CompareOptions& options) {
  const std::string group = "How exactly";
  app.add_option("--repeat", options.repeat, "blocks: each runs every policy once, in random order")
      ->type_name("N")
      ->default_str(options.repeat)
      ->group(group);
  app.add_option(
         "--design", options.design,
         "blocks: a run for each policy; switchback: VMs boot once and policies take turns while they run")
      ->type_name("blocks|switchback")
      ->default_str(options.design)
      ->group(group);
  app.add_option("--period", options.period,
                 "switchback: how long a turn lasts [auto: by slices and carry-over]")
      ->type_name("TIME")
      ->group(group);
  app.add_option("--washout", options.washout,
                 "switchback: thrown away at the beginning of each turn [a fifth]")
      ->type_name("TIME")
      ->group(group);
  app.add_option(
         "--processes", options.processes,
         "deal the blocks out to so many processes, one after the other, each calibrated and placed anew")
      ->type_name("P")
      ->default_str(options.processes)
      ->group(group);
  app.add_option("--part-of-processes", options.part)->group("");
  app.add_option(
         "--until-ci", options.until_ci,
         "go on until the 95 % interval of every throughput ratio is ± this (and --repeat is reached)")
      ->type_name("PERCENT")
      ->group(group);
  app.add_flag("--until-settled", options.until_settled,
               "go on until the verdict of every row of --metrics is settled (and --repeat is reached)")
      ->group(group);
  app.add_option("--max-time", options.max_time, "begin no block after this time, e.g. 10m")
      ->type_name("TIME")
      ->group(group);
  app.add_option("--shard", options.shard, "the I-th of N parts of the grid; see `kvmux merge`")
      ->type_name("I/N")
      ->group(group);
  app.add_option("--jobs", options.jobs, "simulated runs at a time")
      ->type_name("N")
      ->default_str(options.jobs)
      ->group(group);
  app.add_flag("--plan", options.plan, "say how many cells and runs there are, run nothing")->group(group);
  app.add_option("--baseline", options.baseline, "policy that ratios are taken to [the first]")
      ->type_name("P")
      ->group(group);
  app.add_option("--margin", options.margin,
                 "ratios closer to 1 than this are equivalent, if the interval says so")
      ->type_name("PERCENT")
      ->default_str(options.margin)
      ->group(group);
  app.add_option("--max-steal", options.max_steal,
                 "a block is measured again if the host stole more of the workers' time in a run")
      ->type_name("PERCENT")
      ->default_str(options.max_steal)
      ->group(group);
  app.add_option("--handicap", options.handicaps,
                 "the Nth policy burns this share of every turn: plants a known loss")
      ->type_name("N=PERCENT")
      ->allow_extra_args(false)
      ->group(group);
  app.add_flag("--efficiency", options.efficiency,
               "also run one VM with a vCPU a worker alone in each block, and report throughput against it")
      ->group(group);
}

void add_result_flags(CLI::App& app, CompareOptions& options) {
  const std::string group = "Results";
  app.add_option("--metrics", options.metrics, "tables to print: any of `kvmux compare --metrics list`")
      ->type_name("M,M,…")
      ->default_str(options.metrics)
      ->group(group);
  app.add_option("--out", options.out,
                 "append each run to this file as it ends; the same command goes on where it was stopped")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--from", options.from, "print the results of this file, run nothing")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--csv", options.csv, "all findings as CSV")->type_name("FILE|-")->group(group);
  app.add_option("--markdown", options.markdown, "the tables as Markdown")->type_name("FILE|-")->group(group);
  app.add_option("--json", options.json, "all findings as JSON; - writes it instead of the tables")
      ->type_name("FILE|-")
      ->group(group);
  add_trace_flags(app, options.trace, group);
  app.add_option(
         "--report", options.report,
         "a page with charts of everything; off: none [if measured: beside --out, else kvmux-report.html]")
      ->type_name("FILE|-|off")
      ->group(group);
  app.add_flag(
         "--plain", options.plain,
         "end with a plain sentence for each guest about the last policy, and how to settle what is open")
      ->group(group);
  app.add_flag("--published", options.published, "print published figures beside, whatever the set-up")
      ->group(group);
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

Result<size_t> find_label(const std::vector<std::string>& labels, const std::string& wanted) {
  if (wanted.empty()) return 0;
  const auto found = std::find_if(labels.begin(), labels.end(), [&wanted](const std::string& label) {
    return sched::with_new_names(label) == sched::with_new_names(wanted);
  });
  if (found == labels.end()) return bad_value("--baseline", wanted, sched::join(views(labels), ", "));
  return static_cast<size_t>(found - labels.begin());
}

}  // namespace

void add_compare_flags(CLI::App& app, CompareOptions& options) {
  add_design_flags(app, options);
  add_result_flags(app, options);
}

Result<Design> make_design(const CompareOptions& options, const std::vector<std::string>& labels,
                           uint64_t seed) {
  Design design;
  design.seed = seed;
  const auto blocks = parse_count("--repeat", options.repeat, {1, 10'000});
  if (!blocks) return tl::unexpected(blocks.error());
  design.blocks = static_cast<uint32_t>(*blocks);
  const auto steal = parse_percent("--max-steal", options.max_steal);
  if (!steal) return tl::unexpected(steal.error());
  design.max_steal = *steal;
  const auto baseline = find_label(labels, options.baseline);
  if (!baseline) return tl::unexpected(baseline.error());
  design.baseline = *baseline;
  if (!options.until_ci.empty()) {
    const auto width = parse_percent("--until-ci", options.until_ci);
    if (!width) return tl::unexpected(width.error());
    if (*width <= 0) return bad_value("--until-ci", options.until_ci, "a percentage above 0, like 2%");
    design.until_half_width = *width;
    design.blocks = std::max<uint32_t>(design.blocks, kMinBootstrapPairs);
  }
  const auto margin = parse_percent("--margin", options.margin);
  if (!margin) return tl::unexpected(margin.error());
  design.margin = *margin;
  if (!options.until_settled) return design;
  if (!options.until_ci.empty()) {
    return usage_error("--until-ci, --until-settled", "each says when to end; give one of them");
  }
  const auto metrics = parse_metrics("--metrics", options.metrics);
  if (!metrics) return tl::unexpected(metrics.error());
  design.until_settled = *metrics;
  design.blocks = std::max<uint32_t>(design.blocks, kMinBootstrapPairs);
  design.most_attempts = 1;  // against a clock another block tells more than the same one again
  return design;
}

Result<void> read_turns(const CompareOptions& options, GridOptions& grid) {
  constexpr std::array<std::string_view, 2> kDesigns{"blocks", "switchback"};
  const auto design = parse_word("--design", options.design, kDesigns);
  if (!design) return Failure(design.error());
  grid.switchback = *design == 1;
  const bool has_period = options.period != "auto";
  const bool has_washout = options.washout != "auto";
  if (!grid.switchback) {
    if (!has_period && !has_washout) return {};
    return usage_error("--period, --washout", "turns are of --design switchback");
  }
  if (options.efficiency) {
    return usage_error("--efficiency, --design switchback", "a VM alone cannot take turns with others");
  }
  if (has_washout && !has_period) return usage_error("--washout", "it needs a --period that it is a part of");
  const auto chosen = parse_metrics("--metrics", options.metrics);
  if (!chosen) return Failure(chosen.error());
  for (const MetricInfo* metric : *chosen) {
    const auto known = turn_metrics();
    if (std::find(known.begin(), known.end(), metric->name) != known.end()) continue;
    return bad_value("--metrics", metric->name,
                     "with --design switchback what guests count themselves: " + sched::join(known, ", "));
  }
  if (!has_period) return {};
  const auto period = parse_time_flag("--period", options.period, 1ms, 1h);
  if (!period) return Failure(period.error());
  grid.turns = {.period = *period, .washout = *period / 5};
  if (!has_washout) return {};
  const auto washout = parse_time_flag("--washout", options.washout, 1us, *period / 2);
  if (!washout) return Failure(washout.error());
  grid.turns.washout = *washout;
  return {};
}

Result<void> keep_shard(std::string_view text, std::vector<Cell>& cells) {
  const std::string accepted = "I/N with I from 1 to N, as in 3/16";
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return bad_value("--shard", text, accepted);
  const auto parts = parse_count("--shard", text.substr(slash + 1), {1, 1'000'000});
  if (!parts) return tl::unexpected(parts.error());
  const auto part = parse_count("--shard", text.substr(0, slash), {1, *parts});
  if (!part) return tl::unexpected(part.error());
  std::vector<Cell> kept;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i % static_cast<size_t>(*parts) != static_cast<size_t>(*part - 1)) continue;
    cells[i].info.place = static_cast<uint32_t>(i);
    kept.push_back(std::move(cells[i]));
  }
  cells = std::move(kept);
  return {};
}

Result<std::vector<const MetricInfo*>> parse_metrics(std::string_view flag, std::string_view list) {
  std::vector<std::string_view> names;
  for (const MetricInfo& metric : metrics()) names.push_back(metric.name);
  std::vector<const MetricInfo*> chosen;
  for (const std::string_view name : sched::split(list, ",")) {
    const auto place = parse_word(flag, name, names);
    if (!place) return tl::unexpected(place.error());
    chosen.push_back(&metrics()[*place]);
  }
  return chosen;
}

Result<void> write_files(const CompareOptions& options, const Findings& findings,
                         const ReportOptions& report_options, Services& services) {
  Result<void> written;
  if (!options.csv.empty()) {
    written = write_output("--csv", options.csv, report_csv(findings.cells), services.out);
  }
  if (written && !options.markdown.empty()) {
    written = write_output("--markdown", options.markdown,
                           report(findings.cells, report_options, ReportStyle::kMarkdown), services.out);
  }
  if (written && !options.json.empty()) {
    const Json json = report_json(findings.cells, services.command_line, services.host, findings.cpus);
    written = write_output("--json", options.json, dump(json, 2) + "\n", services.out);
  }
  if (written) written = write_report(options, findings, services);
  return written;
}

Result<int> outcome(const Measured& measured) {
  if (measured.error) return tl::unexpected(*measured.error);
  if (measured.interrupted) return kExitInterrupted;
  return measured.guest_failures.empty() ? kExitOk : kExitGuest;
}

}  // namespace vmm
