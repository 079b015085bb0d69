// Lines below a table: what else its cells say.
#include <fmt/format.h>

#include "vmm/cli/report.h"
#include "vmm/cli/table.h"

namespace vmm {
namespace {

constexpr double kClaim = 0.05;

std::string seconds_text(double seconds) { return human_time(Nanos{static_cast<int64_t>(seconds * 1e9)}); }

std::string carry_over_line(const std::string& name, const CellInfo& cell, const RatioEstimate& carried) {
  return fmt::format(
      "{}: turns of {}, the first {} not counted; ratio in their first half over that in the second: {} "
      "({}), {}\n",
      name, seconds_text(cell.period), seconds_text(cell.washout), ratio_text(carried.ratio),
      interval_text(carried),
      carried.p < kClaim ? "carry-over: longer turns would be better" : "no carry-over shown");
}

std::string policy_lines(const CellFindings& cell, const PolicyFindings& policy) {
  const std::string name = cell.cell.size + " " + policy.label;
  std::string text;
  if (policy.carry_over) text += carry_over_line(name, cell.cell, *policy.carry_over);
  if (const auto& between = policy.between) {
    text += fmt::format("{}: {} processes; {} of the variance of its ratios lies between them (p = {:.2g})\n",
                        name, between->processes, percent(between->share), between->p);
  }
  if (const auto& humps = policy.humps) {
    text += fmt::format("{}: two levels: {} in {} runs, {} in {}\n", name, with_unit(Unit::kRate, humps->low),
                        humps->at_low, with_unit(Unit::kRate, humps->high), humps->at_high);
  }
  return text;
}

}  // namespace

std::string report_notes(const CellGroup& cells) {
  std::string text;
  size_t tested = 0;
  size_t claimed = 0;
  for (const CellFindings* cell : cells) {
    for (const PolicyFindings& policy : cell->policies) text += policy_lines(*cell, policy);
    if (!cell->place) continue;
    ++tested;
    if (cell->place->p >= kClaim) continue;
    ++claimed;
    text += fmt::format(
        "{}: the place in the block matters: the first run makes {} times the last (p = {:.2g})\n",
        cell->cell.size, ratio_text(cell->place->first_to_last), cell->place->p);
  }
  if (tested > 0 && claimed < tested) {
    text += fmt::format("Place in the block: no effect shown in {} of {} cells (5 %).\n", tested - claimed,
                        tested);
  }
  return text;
}

}  // namespace vmm
