#include "vmm/cli/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "vmm/cli/table.h"
#include "vmm/stats/published.h"

namespace vmm {
namespace {

// Medians shown beside throughput.
constexpr std::string_view kBeside[] = {"efficiency", "useful", "fairness", "spin_waste", "ipi_p99"};

std::string published_text(const CellFindings& cell, const PolicyFindings& policy, bool everywhere) {
  if (!everywhere && !is_published_setup(cell.cell)) return "";
  const auto gain = published_gain(cell.cell.guest, policy.label, cell.cell.vms);
  return gain ? fmt::format("{:+.1f} % ({}, {})", gain->gain_percent, gain->workload, gain->source) : "";
}

// One table: the rows of all policies of some cells by one metric.
class MetricTable {
 public:
  MetricTable(const CellGroup& cells, const MetricInfo& metric, const ReportOptions& options)
      : cells_(cells), metric_(metric), options_(options) {
    if (metric.name == kThroughput) choose_columns();
    for (const CellFindings* cell : cells_) count_verdicts(counts_, *cell, metric.name);
    open_ = counts_.inconclusive != 0;
  }

  [[nodiscard]] std::string render(ReportStyle style) const {
    Table table(titles());
    for (const CellFindings* cell : cells_) {
      if (cell != cells_.front()) table.add_rule();
      for (const PolicyFindings& policy : cell->policies) add_row(table, *cell, policy);
    }
    const std::string text = style == ReportStyle::kText ? table.text() : table.markdown() + "\n";
    return text + counts_.text() + ".\n";
  }

 private:
  void choose_columns() {
    for (const std::string_view name : kBeside) {
      const bool asked = std::any_of(options_.metrics.begin(), options_.metrics.end(),
                                     [name](const MetricInfo* metric) { return metric->name == name; });
      const bool there = std::any_of(cells_.begin(), cells_.end(), [name](const CellFindings* cell) {
        return std::any_of(cell->policies.begin(), cell->policies.end(),
                           [name](const PolicyFindings& policy) { return policy.find(name) != nullptr; });
      });
      if (there && !asked) beside_.push_back(find_metric(name));
    }
    for (const CellFindings* cell : cells_) {
      for (const PolicyFindings& policy : cell->policies) {
        published_ = published_ || (options_.published &&
                                    !published_text(*cell, policy, options_.published_everywhere).empty());
      }
    }
  }

  [[nodiscard]] std::vector<std::string> titles() const {
    std::vector<std::string> titles{"<VMs × vCPUs", "<policy", std::string{metric_.title},
                                    "p10 … p90",    "ratio",   "95 % interval",
                                    "<verdict"};
    if (open_) titles.emplace_back("<to settle");
    if (published_) titles.emplace_back("<published");
    for (const MetricInfo* metric : beside_) titles.emplace_back(metric->title);
    return titles;
  }

  void add_row(Table& table, const CellFindings& cell, const PolicyFindings& policy) const {
    const bool is_first = &policy == &cell.policies.front();
    std::vector<std::string> row{is_first ? cell.cell.size : "", policy.label};
    if (const Finding* finding = policy.find(metric_.name); finding != nullptr) {
      row.push_back(with_unit(metric_.unit, finding->median));
      row.push_back(with_unit(metric_.unit, finding->p10) + " … " + with_unit(metric_.unit, finding->p90));
      row.push_back(finding->ratio ? ratio_text(finding->ratio->ratio) : "");
      row.push_back(finding->ratio ? interval_text(*finding->ratio) : "");
      row.push_back(verdict_text(*finding));
      if (open_) row.push_back(to_settle(cell, *finding));
    } else {
      row.insert(row.end(), {"-", "", "", "", ""});
      if (open_) row.emplace_back();
    }
    if (published_) row.push_back(published_text(cell, policy, options_.published_everywhere));
    for (const MetricInfo* metric : beside_) {
      const Finding* finding = policy.find(metric->name);
      row.push_back(finding == nullptr ? "-" : with_unit(metric->unit, finding->median));
    }
    table.add(std::move(row));
  }

  const CellGroup& cells_;
  const MetricInfo& metric_;
  const ReportOptions& options_;
  std::vector<const MetricInfo*> beside_;
  bool published_ = false;
  bool open_ = false;  // some row is inconclusive
  VerdictCounts counts_;
};

std::string heading(const CellFindings& first, const MetricInfo& metric, ReportStyle style) {
  const CellInfo& cell = first.cell;
  const std::string baseline = [&first] {
    for (const PolicyFindings& policy : first.policies) {
      for (const Finding& finding : policy.findings) {
        if (finding.verdict == Verdict::kBaseline) return policy.label;
      }
    }
    return std::string{"the baseline"};
  }();
  return fmt::format("{}{}, {} worker{}{}{}: {}, ratio to {}\n\n",
                     style == ReportStyle::kMarkdown ? "### " : "", cell.guest, cell.workers,
                     cell.workers == 1 ? "" : "s", cell.backend == "sim" ? ", simulated" : "",
                     cell.switchback ? ", in turns" : "", metric.title, baseline);
}

size_t comparisons(std::span<const CellFindings> findings, std::string_view metric) {
  size_t count = 0;
  for (const CellFindings& cell : findings) {
    for (const PolicyFindings& policy : cell.policies) {
      const Finding* finding = policy.find(metric);
      count += finding != nullptr && finding->ratio ? 1 : 0;
    }
  }
  return count;
}

}  // namespace

std::string verdict_text(const Finding& finding) {
  return finding.ratio || finding.verdict == Verdict::kBaseline ? std::string{verdict_name(finding.verdict)}
         : finding.runs < 2                                     ? "too few"
                                                                : "no ratio";
}

std::string to_settle(const CellFindings& cell, const Finding& finding) {
  if (finding.verdict != Verdict::kInconclusive) return "";
  if (!finding.more_blocks) return "more than 1,000,000 blocks";
  const size_t blocks = *finding.more_blocks;
  std::string text = fmt::format("{} more block{}", grouped(uint64_t{blocks}), blocks == 1 ? "" : "s");
  if (cell.block_seconds > 0) text += ", " + rough_time(static_cast<double>(blocks) * cell.block_seconds);
  return text;
}

void count_verdicts(VerdictCounts& counts, const CellFindings& cell, std::string_view metric) {
  for (const PolicyFindings& policy : cell.policies) {
    if (const Finding* finding = policy.find(metric); finding != nullptr) counts.add(finding->verdict);
  }
}

std::string ratio_text(double ratio) { return fmt::format("{:.3f}", ratio); }

std::string interval_text(const RatioEstimate& ratio) {
  return fmt::format("{:.3f} … {:.3f}", ratio.low, ratio.high);
}

std::vector<CellGroup> by_guest(std::span<const CellFindings> findings) {
  std::vector<CellGroup> groups;
  for (const CellFindings& cell : findings) {
    if (cell.blocks == 0) continue;
    const auto group = std::find_if(groups.begin(), groups.end(), [&cell](const CellGroup& g) {
      const CellInfo& first = g.front()->cell;
      return first.guest == cell.cell.guest && first.workers == cell.cell.workers &&
             first.backend == cell.cell.backend && first.switchback == cell.cell.switchback;
    });
    if (group == groups.end()) {
      groups.push_back({&cell});
    } else {
      group->push_back(&cell);
    }
  }
  return groups;
}

std::string report_footer(std::span<const CellFindings> findings, const ReportOptions& options) {
  size_t least = SIZE_MAX;
  size_t most = 0;
  size_t unmeasured = 0;
  size_t repeated = 0;
  size_t disturbed = 0;
  double seconds = 0;
  double steal = 0;
  bool in_turns = false;
  std::set<std::string> cpu_changes;
  for (const CellFindings& cell : findings) {
    if (cell.blocks == 0) {
      ++unmeasured;
      continue;
    }
    least = std::min(least, cell.blocks);
    most = std::max(most, cell.blocks);
    repeated += cell.repeated_blocks;
    disturbed += cell.disturbed_blocks;
    seconds = cell.cell.switchback ? cell.cell.period : cell.cell.seconds;
    in_turns = in_turns || cell.cell.switchback;
    steal = std::max(steal, cell.worst_steal);
    cpu_changes.insert(cell.cpu_changes.begin(), cell.cpu_changes.end());
  }
  if (most == 0) return "Nothing is measured yet.\n";
  std::string text = fmt::format(
      "{} blocks a cell of {:.2g} s a run. Ratio: geometric mean of the pairs within blocks; bootstrap "
      "interval;\n"
      "better and worse at 5 % over all {} comparisons of a metric (Holm), equivalent within {:.2g} % by two "
      "one-sided\n"
      "tests at 5 %. Inconclusive is not equal: it says how many more blocks would settle it at the noise "
      "seen.\n",
      least == most ? std::to_string(most) : fmt::format("{} to {}", least, most), seconds,
      comparisons(findings, options.metrics.front()->name), options.margin * 100);
  if (in_turns) text += "In turns: the interval counts what neighbouring turns have in common.\n";
  text +=
      fmt::format("Host noise: at most {} of the workers' time stolen in a run; {} blocks measured again.\n",
                  percent(steal), repeated);
  constexpr size_t kShown = 4;
  size_t shown = 0;
  for (const std::string& change : cpu_changes) {
    if (shown++ == kShown) {
      text += fmt::format("... and {} other changes of the CPUs.\n", cpu_changes.size() - kShown);
      break;
    }
    text += fmt::format("While a run was measured: {}.\n", change);
  }
  if (disturbed != 0) {
    text += fmt::format("{} blocks were disturbed at every attempt and count all the same.\n", disturbed);
  }
  if (unmeasured != 0)
    text += fmt::format("{} of {} cells are not measured yet.\n", unmeasured, findings.size());
  return text;
}

std::string report(std::span<const CellFindings> findings, const ReportOptions& options, ReportStyle style) {
  std::string text;
  for (const MetricInfo* metric : options.metrics) {
    for (const CellGroup& cells : by_guest(findings)) {
      text += heading(*cells.front(), *metric, style);
      text += MetricTable(cells, *metric, options).render(style) + "\n";
      const std::string notes = metric->name == kThroughput ? report_notes(cells) : "";
      if (!notes.empty()) text += notes + "\n";
    }
  }
  return text + report_footer(findings, options);
}

}  // namespace vmm
