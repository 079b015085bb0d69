// One sentence a finding, with size and interval.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "vmm/cli/report.h"
#include "vmm/report/report.h"

namespace vmm {
namespace {

const std::string* baseline_label(const CellFindings& cell, std::string_view metric) {
  for (const PolicyFindings& policy : cell.policies) {
    const Finding* finding = policy.find(metric);
    if (finding != nullptr && finding->verdict == Verdict::kBaseline) return &policy.label;
  }
  return nullptr;
}

std::string guest_name(const CellFindings& cell) {
  return cell.cell.guest.substr(0, cell.cell.guest.find(' '));
}

// "kvmux does 2.41 times the work of yield" or "the IPI p99 of kvmux is 0.62 times that of yield".
std::string size_of(const std::string& policy, const std::string& baseline, const Finding& finding) {
  const std::string ratio = ratio_text(finding.ratio->ratio);
  if (finding.metric->name == kThroughput)
    return fmt::format("{} does {} times the work of {}", policy, ratio, baseline);
  return fmt::format("{} of {} is {} times that of {}", finding.metric->title, policy, ratio, baseline);
}

}  // namespace

std::string finding_sentence(const CellFindings& cell, const PolicyFindings& policy, const Finding& finding,
                             const std::string& where, double margin) {
  const std::string* baseline = baseline_label(cell, finding.metric->name);
  if (finding.verdict == Verdict::kBaseline || baseline == nullptr) return "";
  if (!finding.ratio) {
    return fmt::format("{} of {} on {}: no ratio to {}, {}.", finding.metric->title, policy.label, where,
                       *baseline,
                       finding.runs < 2 ? "too little was measured" : "a run measured 0, which has no ratio");
  }
  const std::string size = size_of(policy.label, *baseline, finding);
  const std::string interval = interval_text(*finding.ratio);
  switch (finding.verdict) {
    case Verdict::kEquivalent:
      return fmt::format("{} on {} ({}): equivalent within {:.2g} %.", size, where, interval, margin * 100);
    case Verdict::kInconclusive:
      return fmt::format("{} on {} ({}): inconclusive; to settle: {}.", size, where, interval,
                         to_settle(cell, finding));
    default:
      return fmt::format("{} on {} ({}): {}.", size, where, interval, verdict_text(finding));
  }
}

std::vector<std::string> cell_names(std::span<const CellFindings> cells) {
  std::set<std::string> sizes;
  std::set<std::string> backends;
  std::set<uint32_t> workers;
  for (const CellFindings& cell : cells) {
    sizes.insert(cell.cell.size);
    backends.insert(cell.cell.backend);
    workers.insert(cell.cell.workers);
  }
  std::vector<std::string> names;
  for (const CellFindings& cell : cells) {
    const bool alone = std::all_of(cells.begin(), cells.end(), [&cell](const CellFindings& other) {
      return guest_name(other) != guest_name(cell) || other.cell.guest == cell.cell.guest;
    });
    std::string name = alone ? guest_name(cell) : cell.cell.guest;
    if (sizes.size() > 1) name += " " + cell.cell.size;
    if (workers.size() > 1) name += fmt::format(" on {} CPUs", cell.cell.workers);
    if (backends.size() > 1) name += cell.cell.backend == "sim" ? ", simulated" : ", real";
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace vmm
