// `kvmux heatmap`: how one policy stands against the best of the others in every cell, as a picture and a
// list.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

#include "sched/base/text.h"
#include "vmm/cli/command.h"
#include "vmm/cli/heatmap.h"
#include "vmm/cli/renamed.h"
#include "vmm/cli/values.h"
#include "vmm/stats/merge.h"

namespace vmm {
namespace {

struct HeatmapFlags {
  std::vector<std::string> files;
  std::string output = "heatmap.svg";
  std::string policy = "kvmux";
  std::string metric = "throughput";
  std::string beside;
  std::string margin = "2%";
  std::string title;
  std::string markdown;
};

// Files of several hosts or versions have columns of their own.
Result<JournalContents> read_all(const std::vector<std::string>& paths, Services& services) {
  if (paths.empty()) return usage_error("FILE", "is needed: result files written by `kvmux compare --out`");
  std::vector<NamedContents> files;
  for (const std::string& path : paths) {
    auto contents = read_journal(path);
    if (!contents) return tl::unexpected(contents.error());
    note_renamed(contents->cells, path, services.err);
    files.push_back({path, std::move(*contents)});
  }
  if (files.size() == 1) return std::move(files.front().contents);
  return merge(files, true);
}

Result<const MetricInfo*> parse_metric(std::string_view flag, const std::string& name, bool needs_direction) {
  std::vector<std::string_view> names;
  for (const MetricInfo& metric : metrics()) {
    if (!needs_direction || metric.better != Better::kNeither) names.push_back(metric.name);
  }
  const auto place = parse_word(flag, name, names);
  if (!place) return tl::unexpected(place.error());
  return find_metric(names[*place]);
}

Result<HeatmapOptions> options_of(const HeatmapFlags& flags) {
  HeatmapOptions options;
  options.standing.policy = flags.policy;
  options.title = flags.title;
  const auto metric = parse_metric("--metric", flags.metric, true);
  if (!metric) return tl::unexpected(metric.error());
  options.standing.metric = *metric;
  if (!flags.beside.empty()) {
    const auto beside = parse_metric("--beside", flags.beside, false);
    if (!beside) return tl::unexpected(beside.error());
    options.standing.beside = *beside;
  }
  const auto margin = parse_percent("--margin", flags.margin);
  if (!margin) return tl::unexpected(margin.error());
  options.margin = *margin;
  if (flags.output == "-" && flags.markdown == "-")
    return usage_error("-o, --markdown", "only one of them can be the standard output");
  return options;
}

std::string policies_in(const JournalContents& contents) {
  std::vector<std::string_view> labels;
  for (const CellInfo& cell : contents.cells) {
    for (size_t slot = 0; slot < cell.labels.size(); ++slot) {
      const bool known = std::find(labels.begin(), labels.end(), cell.labels[slot]) != labels.end();
      if (!known && static_cast<int>(slot) != cell.reference) labels.push_back(cell.labels[slot]);
    }
  }
  return sched::join(labels, "; ");
}

// Those of the cells that can be compared; an error if there is none.
Result<std::vector<Standing>> standings_of(JournalContents contents, const StandingOptions& options,
                                           Services& services) {
  const auto name = [&] { return fmt::format("'{}'", options.policy); };
  if (contents.cells.empty()) return usage_error("FILE", "has no cells: nothing was measured");
  RunTable runs;
  for (RunRecord& run : contents.runs) runs.add(std::move(run));
  auto result = standings(contents.cells, runs, options);
  if (result.empty()) {
    return bad_value("--policy", options.policy,
                     "one that a cell compares with another; there are " + policies_in(contents));
  }
  const size_t without = contents.cells.size() - result.size();
  if (without != 0)
    services.err << fmt::format("kvmux: warning: {} cells do not compare {} with another policy\n", without,
                                name());
  if (std::none_of(result.begin(), result.end(), [](const Standing& its) { return its.ratio.has_value(); })) {
    return usage_error(
        "FILE", fmt::format("no block has {} of {} and of another policy", options.metric->name, name()));
  }
  return result;
}

Result<int> execute(const HeatmapFlags& flags, Services& services) {
  const auto options = options_of(flags);
  if (!options) return tl::unexpected(options.error());
  auto contents = read_all(flags.files, services);
  if (!contents) return tl::unexpected(contents.error());
  const auto standings = standings_of(std::move(*contents), options->standing, services);
  if (!standings) return tl::unexpected(standings.error());
  if (auto written = write_output("-o", flags.output, heatmap_svg(*standings, *options), services.out);
      !written)
    return tl::unexpected(written.error());
  if (!flags.markdown.empty()) {
    const std::string text = heatmap_text(*standings, *options, ReportStyle::kMarkdown);
    if (auto written = write_output("--markdown", flags.markdown, text, services.out); !written)
      return tl::unexpected(written.error());
  }
  if (flags.output != "-" && flags.markdown != "-")
    services.out << heatmap_text(*standings, *options, ReportStyle::kText);
  return kExitOk;
}

}  // namespace

Command add_heatmap(CLI::App& parent) {
  const auto flags = std::make_shared<HeatmapFlags>();
  CLI::App* app = parent.add_subcommand(
      "heatmap",
      "a policy against the best of the others in every cell, as a picture, with the cells it loses");
  app->add_option("FILE", flags->files, "result files written by --out")->type_name("");
  app->add_option("-o,--output", flags->output, "the SVG to write")
      ->type_name("FILE|-")
      ->default_str(flags->output);
  app->add_option("--policy", flags->policy, "the policy that is looked at")
      ->type_name("P")
      ->default_str(flags->policy);
  app->add_option("--metric", flags->metric, "compared by: one of `kvmux compare --metrics list`")
      ->type_name("M")
      ->default_str(flags->metric);
  app->add_option("--beside", flags->beside, "another metric, written small: the policy's median")
      ->type_name("M");
  app->add_option("--margin", flags->margin, "a cell below 1 less this is lost")
      ->type_name("PERCENT")
      ->default_str(flags->margin);
  app->add_option("--title", flags->title, "above the picture")->type_name("TEXT");
  app->add_option("--markdown", flags->markdown, "also write the lost cells as a Markdown table")
      ->type_name("FILE|-");
  return {app, [flags](Services& services) { return execute(*flags, services); }};
}

}  // namespace vmm
