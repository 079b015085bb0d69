// `kvmux gate`: exit status 1 if the results of one file are significantly worse than those of another.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "vmm/cli/compare_options.h"
#include "vmm/cli/renamed.h"
#include "vmm/cli/table.h"
#include "vmm/stats/gate.h"
#include "vmm/stats/journal.h"

namespace vmm {
namespace {

struct GateFlags {
  std::string from;
  std::string against;
  std::string metric = "throughput";
  std::string worse_than = "5%";
  std::string inconclusive = "pass";
};

Result<ResultSet> read_results(const std::string& path, std::ostream& err) {
  auto contents = read_journal(path);
  if (!contents) return tl::unexpected(contents.error());
  note_renamed(contents->cells, path, err);
  ResultSet set;
  set.cells = std::move(contents->cells);
  for (RunRecord& run : contents->runs) set.runs.add(std::move(run));
  return set;
}

std::string gate_text(const GateResult& result, const GateOptions& options) {
  const MetricInfo& metric = *options.metric;
  Table table({"<guest", "<VMs × vCPUs", "<policy", "before", "now", "ratio", "95 % interval", "<verdict"});
  for (const GateRow& row : result.rows) {
    table.add({row.cell.guest, row.cell.size, row.label, with_unit(metric.unit, row.against_median),
               with_unit(metric.unit, row.median), ratio_text(row.ratio.ratio), interval_text(row.ratio),
               std::string{verdict_name(row.verdict)}});
  }
  std::string text =
      fmt::format("{}, worse than {}:\n\n{}\n", metric.title, percent(options.worse_than), table.text());
  for (const std::string& name : result.unmatched) {
    text += fmt::format("Not judged, fewer than two runs on both sides: {}\n", name);
  }
  const size_t open = result.count(Verdict::kInconclusive);
  if (open != 0) {
    text +=
        fmt::format("Inconclusive: {} of {} rows; a loss of more than {} is neither shown nor excluded:\n",
                    open, result.rows.size(), percent(options.worse_than));
    for (const GateRow& row : result.rows) {
      if (row.verdict != Verdict::kInconclusive) continue;
      text += fmt::format("  {} {} {}\n", row.cell.guest, row.cell.size, row.label);
    }
  }
  return text + (result.holds(options)                ? "The gate holds.\n"
                 : result.rows.empty()                ? "The gate does not hold: nothing could be judged.\n"
                 : result.count(Verdict::kWorse) != 0 ? "The gate does not hold: a significant loss.\n"
                                                      : "The gate does not hold: rows are inconclusive.\n");
}

Result<int> execute(const GateFlags& flags, Services& services) {
  GateOptions options;
  const auto metrics = parse_metrics("--metric", flags.metric);
  if (!metrics) return tl::unexpected(metrics.error());
  if (metrics->size() != 1 || metrics->front()->better == Better::kNeither) {
    return bad_value("--metric", flags.metric, "one metric of which more or less is better");
  }
  options.metric = metrics->front();
  const auto worse_than = parse_percent("--worse-than", flags.worse_than);
  if (!worse_than) return tl::unexpected(worse_than.error());
  options.worse_than = *worse_than;
  constexpr std::string_view kWords[] = {"pass", "fail"};
  const auto word = parse_word("--inconclusive", flags.inconclusive, kWords);
  if (!word) return tl::unexpected(word.error());
  options.inconclusive_fails = *word == 1;
  for (const auto& [flag, path] : {std::pair{"--from", flags.from}, {"--against", flags.against}}) {
    if (path.empty()) return usage_error(flag, "is needed: a result file written by `kvmux compare --out`");
  }
  const auto tested = read_results(flags.from, services.err);
  if (!tested) return tl::unexpected(tested.error());
  const auto against = read_results(flags.against, services.err);
  if (!against) return tl::unexpected(against.error());
  const GateResult result = gate(*tested, *against, options);
  services.out << gate_text(result, options);
  return result.holds(options) ? kExitOk : kExitGuest;
}

}  // namespace

Command add_gate(CLI::App& parent) {
  const auto flags = std::make_shared<GateFlags>();
  CLI::App* app = parent.add_subcommand("gate", "exit with 1 if results are significantly worse than before");
  app->add_option("--from", flags->from, "results under test")->type_name("FILE");
  app->add_option("--against", flags->against, "results to hold them against")->type_name("FILE");
  app->add_option("--metric", flags->metric, "see `kvmux compare --metrics list`")
      ->type_name("M")
      ->default_str(flags->metric);
  app->add_option("--worse-than", flags->worse_than, "losses up to this are let pass")
      ->type_name("PERCENT")
      ->default_str(flags->worse_than);
  app->add_option("--inconclusive", flags->inconclusive,
                  "what rows mean whose loss is neither shown nor excluded")
      ->type_name("fail|pass")
      ->default_str(flags->inconclusive);
  return {app, [flags](Services& services) { return execute(*flags, services); }};
}

}  // namespace vmm
