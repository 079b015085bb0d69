#include "vmm/stats/analysis.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "sched/policy/parse.h"

namespace vmm {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

// A metric of one slot by block; kMissing where there is none.
using Series = std::vector<double>;

struct CellRuns {
  std::vector<BlockRuns> blocks;  // the attempts that count
};

CellRuns counting_runs(const CellInfo& cell, const RunTable& runs, const Design& design,
                       CellFindings& findings) {
  CellRuns result;
  for (uint32_t block = 0; block < runs.block_count(cell); ++block) {
    const auto attempt = runs.counting_attempt(cell, block);
    if (!attempt) continue;
    result.blocks.push_back(runs.attempt(cell, block, *attempt));
    findings.blocks += 1;
    findings.repeated_blocks += *attempt > 0 ? 1 : 0;
    findings.disturbed_blocks += is_disturbed(design, cell, runs, block, *attempt) ? 1 : 0;
    for (uint32_t tried = 0; tried <= *attempt; ++tried) {
      for (const RunRecord* run : runs.attempt(cell, block, tried)) {
        if (run == nullptr) continue;
        findings.cpu_changes.insert(run->noise.cpu_changes.begin(), run->noise.cpu_changes.end());
      }
    }
    for (const RunRecord* run : result.blocks.back()) {
      if (run != nullptr) findings.worst_steal = std::max(findings.worst_steal, stolen_share(cell, *run));
    }
  }
  // A process measures its blocks one after the other: that is the order in which neighbours are alike.
  if (cell.switchback) {
    const auto process_of = [](const BlockRuns& block) {
      for (const RunRecord* run : block) {
        if (run != nullptr) return run->process.value_or(0);
      }
      return 0U;
    };
    std::stable_sort(result.blocks.begin(), result.blocks.end(),
                     [&](const BlockRuns& a, const BlockRuns& b) { return process_of(a) < process_of(b); });
  }
  return result;
}

double metric_of(const BlockRuns& block, size_t slot, std::string_view name) {
  const double* value = block[slot] == nullptr ? nullptr : block[slot]->metric(name);
  return value == nullptr ? kMissing : *value;
}

Series series(const CellRuns& runs, size_t slot, const CellInfo& cell, const MetricInfo& metric) {
  Series values;
  for (const BlockRuns& block : runs.blocks) values.push_back(metric_value(block, slot, cell, metric));
  return values;
}

std::optional<Finding> describe(const CellRuns& runs, size_t slot, const CellInfo& cell,
                                const MetricInfo& metric) {
  Series values;
  for (const BlockRuns& block : runs.blocks) {
    const double value = metric_value(block, slot, cell, metric);
    if (!std::isnan(value)) values.push_back(value);
  }
  if (values.empty()) return std::nullopt;
  Finding finding;
  finding.metric = &metric;
  finding.runs = values.size();
  finding.median = median(values);
  finding.p10 = quantile(values, 0.1);
  finding.p90 = quantile(std::move(values), 0.9);
  return finding;
}

// By the clock, from the runs themselves; old files do not say, so warm-up and set-up are guessed there.
constexpr double kGuessedOverhead = 0.2;
double block_seconds(const CellInfo& cell, const CellRuns& runs) {
  if (cell.backend == "sim" || runs.blocks.empty()) return 0;
  double sum = 0;
  for (const BlockRuns& block : runs.blocks) {
    for (const RunRecord* run : block) {
      if (run != nullptr) sum += run->took > 0 ? run->took : run->seconds + kGuessedOverhead;
    }
  }
  return sum / static_cast<double>(runs.blocks.size());
}

// The values of a policy and of the baseline by block, and the process that measured each.
struct Pairs {
  Series measured;
  Series baseline;
  std::vector<uint32_t> process;  // empty: one, or unknown
};

std::vector<uint32_t> processes(const CellRuns& runs, size_t slot) {
  std::vector<uint32_t> result;
  for (const BlockRuns& block : runs.blocks) {
    if (block[slot] == nullptr || !block[slot]->process) return {};
    result.push_back(*block[slot]->process);
  }
  return result;
}

std::optional<RatioEstimate> ratio_of(const CellInfo& cell, const Pairs& pairs, uint64_t seed,
                                      double equivalence_alpha) {
  if (cell.switchback) return serial_ratio(pairs.measured, pairs.baseline, equivalence_alpha);
  if (const auto ratio =
          process_ratio(pairs.measured, pairs.baseline, pairs.process, seed, equivalence_alpha)) {
    return ratio->ratio;
  }
  return paired_ratio(pairs.measured, pairs.baseline, seed, kResamples, equivalence_alpha);
}

Series values_named(const CellRuns& runs, size_t slot, std::string_view name) {
  Series values;
  for (const BlockRuns& block : runs.blocks) values.push_back(metric_of(block, slot, name));
  return values;
}

void describe_pairs(const CellInfo& cell, const CellRuns& runs, size_t slot, size_t baseline,
                    const Pairs& pairs, PolicyFindings& policy) {
  if (const auto ratio = process_ratio(pairs.measured, pairs.baseline, pairs.process, 0)) {
    policy.between = ratio->between;
  }
  if (!cell.switchback) return;
  const Series a[] = {values_named(runs, slot, kFirstHalf), values_named(runs, slot, kSecondHalf)};
  const Series b[] = {values_named(runs, baseline, kFirstHalf), values_named(runs, baseline, kSecondHalf)};
  policy.carry_over = carry_over({a[0], a[1]}, {b[0], b[1]});
}

// Blocks whose runs all say in which place they were.
std::vector<PlacedBlock> placed(const CellInfo& cell, const CellRuns& runs) {
  std::vector<PlacedBlock> result;
  for (const BlockRuns& block : runs.blocks) {
    PlacedBlock& entry = result.emplace_back();
    for (size_t slot = 0; slot < cell.labels.size(); ++slot) {
      if (block[slot] == nullptr || !block[slot]->place) continue;
      entry.values.push_back(metric_of(block, slot, kThroughput));
      entry.places.push_back(*block[slot]->place);
    }
    if (entry.values.size() != cell.labels.size()) result.pop_back();
  }
  return result;
}

CellFindings analyse_cell(const CellInfo& cell, const RunTable& table, const AnalysisOptions& options) {
  CellFindings result;
  result.cell = cell;
  const CellRuns runs = counting_runs(cell, table, options.design, result);
  result.block_seconds = block_seconds(cell, runs);
  const size_t baseline = baseline_slot(cell, options.baseline);
  for (size_t slot = 0; slot < cell.labels.size(); ++slot) {
    if (static_cast<int>(slot) == cell.reference) continue;
    PolicyFindings policy;
    policy.label = cell.labels[slot];
    for (const MetricInfo& metric : metrics()) {
      if (options.only != nullptr && options.only != &metric) continue;
      auto finding = describe(runs, slot, cell, metric);
      if (!finding) continue;
      if (slot != baseline) {
        const uint64_t seed =
            options.design.seed ^ fingerprint(cell.key + "/" + policy.label + "/" + std::string{metric.name});
        const Pairs pairs{series(runs, slot, cell, metric), series(runs, baseline, cell, metric),
                          processes(runs, slot)};
        finding->ratio = ratio_of(cell, pairs, seed, kAlpha / Looks(cell.first_look).factor(result.blocks));
        if (options.only == nullptr && metric.name == kThroughput)
          describe_pairs(cell, runs, slot, baseline, pairs, policy);
        finding->verdict = Verdict::kTooFew;
      }
      policy.findings.push_back(*finding);
    }
    if (options.only == nullptr) {
      policy.humps = find_humps(series(runs, slot, cell, *find_metric(kThroughput)), options.margin);
    }
    result.policies.push_back(std::move(policy));
  }
  if (options.only == nullptr) {
    result.place = place_effect(placed(cell, runs), options.design.seed ^ fingerprint(cell.key));
  }
  return result;
}

// The rows of one metric over all cells and policies.
struct FamilyRow {
  const CellFindings* cell;
  Finding* finding;
};
using Family = std::vector<FamilyRow>;

void judge_family(const Family& family, double margin) {
  std::vector<double> p_values;
  for (const auto& [cell, finding] : family) {
    const double factor = Looks(cell->cell.first_look).factor(cell->blocks);
    p_values.push_back(std::min(1.0, finding->ratio->p * factor));
  }
  const std::vector<double> adjusted = holm(p_values);
  for (size_t i = 0; i < family.size(); ++i) {
    const auto& [cell, finding] = family[i];
    finding->p_adjusted = adjusted[i];
    finding->verdict = judge(*finding->ratio, adjusted[i], margin, finding->metric->better);
    if (!is_open(finding->verdict)) continue;
    // What Holm would divide α by for this row: the rows that are no more certain than it.
    const auto rest = static_cast<size_t>(std::count_if(
        p_values.begin(), p_values.end(), [p = p_values[i]](double other) { return other >= p; }));
    const auto enough = blocks_to_settle(*finding->ratio, margin, rest, Looks(cell->cell.first_look));
    if (enough) finding->more_blocks = *enough - finding->ratio->pairs;
  }
}

double regret(const BlockRuns& block, size_t slot, const CellInfo& cell) {
  double best = 0;
  size_t policies = 0;
  for (size_t i = 0; i < cell.labels.size(); ++i) {
    const double one = metric_of(block, i, kThroughput);
    if (static_cast<int>(i) == cell.reference || std::isnan(one)) continue;
    best = std::max(best, one);
    ++policies;
  }
  return policies > 1 && best > 0 ? 1 - metric_of(block, slot, kThroughput) / best : kMissing;
}

}  // namespace

double metric_value(const BlockRuns& block, size_t slot, const CellInfo& cell, const MetricInfo& metric) {
  if (metric.name == kRegret) return regret(block, slot, cell);
  if (metric.name != kEfficiency) return metric_of(block, slot, metric.name);
  if (cell.reference < 0) return kMissing;
  const double alone = metric_of(block, static_cast<size_t>(cell.reference), kThroughput);
  return alone > 0 ? metric_of(block, slot, kThroughput) / alone : kMissing;
}

size_t baseline_slot(const CellInfo& cell, const std::string& label) {
  const auto found = std::find_if(cell.labels.begin(), cell.labels.end(), [&label](const std::string& its) {
    return sched::with_new_names(its) == sched::with_new_names(label);
  });
  return found == cell.labels.end() ? 0 : static_cast<size_t>(found - cell.labels.begin());
}

const Finding* PolicyFindings::find(std::string_view metric) const {
  const auto found = std::find_if(findings.begin(), findings.end(), [metric](const Finding& finding) {
    return finding.metric->name == metric;
  });
  return found == findings.end() ? nullptr : &*found;
}

std::vector<CellFindings> analyse(std::span<const CellInfo> cells, const RunTable& runs,
                                  const AnalysisOptions& options) {
  std::vector<CellFindings> result;
  for (const CellInfo& cell : cells) result.push_back(analyse_cell(cell, runs, options));
  std::map<const MetricInfo*, Family> families;
  for (CellFindings& cell : result) {
    for (PolicyFindings& policy : cell.policies) {
      for (Finding& finding : policy.findings) {
        if (finding.ratio) families[finding.metric].push_back({&cell, &finding});
      }
    }
  }
  for (const auto& [metric, family] : families) judge_family(family, options.margin);
  return result;
}

}  // namespace vmm
