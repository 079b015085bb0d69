#include "vmm/cli/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "vmm/cli/report.h"
#include "vmm/cli/table.h"

namespace vmm {
namespace {

// Two digits say enough: 0.94, 2.4, 17.
std::string times(double ratio) {
  return ratio < 0.995  ? fmt::format("{:.2f}", ratio)
         : ratio < 9.95 ? fmt::format("{:.1f}", ratio)
                        : grouped(ratio);
}

// 1.04 and 1.08 would both be 1.0 or 1.1 with one decimal.
std::string near_one(double ratio) {
  return std::abs(ratio - 1) < 0.2 ? fmt::format("{:.2f}", ratio) : times(ratio);
}

std::string open_sentence(const CellFindings& cell, const Finding& finding, const std::string& policy,
                          const std::string& baseline, const std::string& where) {
  if (!finding.ratio)
    return fmt::format("Of {} on {} too little was measured to say anything.", policy, where);
  std::string text =
      fmt::format("Whether {} does more or less work than {} on {} is open: between {} and {} times.", policy,
                  baseline, where, near_one(finding.ratio->low), near_one(finding.ratio->high));
  if (finding.verdict == Verdict::kInconclusive) text += " To settle: " + to_settle(cell, finding) + ".";
  return text;
}

std::string sentence(const CellFindings& cell, const std::string& where, double margin) {
  const std::string* baseline = nullptr;
  const PolicyFindings* last = nullptr;
  for (const PolicyFindings& policy : cell.policies) {
    const Finding* finding = policy.find(kThroughput);
    if (finding == nullptr) continue;
    if (finding->verdict == Verdict::kBaseline) {
      baseline = &policy.label;
    } else {
      last = &policy;
    }
  }
  if (baseline == nullptr || last == nullptr) return fmt::format("Nothing was measured on {}.", where);
  const Finding& finding = *last->find(kThroughput);
  switch (finding.verdict) {
    case Verdict::kEquivalent:
      return fmt::format("{} does as much work as {} on {}, within {:.2g} %.", last->label, *baseline, where,
                         margin * 100);
    case Verdict::kBetter:
    case Verdict::kWorse:
      return fmt::format("{} does {} times the work of {} on {}, between {} and {}.", last->label,
                         near_one(finding.ratio->ratio), *baseline, where, near_one(finding.ratio->low),
                         near_one(finding.ratio->high));
    default:
      return open_sentence(cell, finding, last->label, *baseline, where);
  }
}

// The guest's name alone if that tells the cells apart.
std::string place(const CellFindings& cell, std::span<const CellFindings> all) {
  const auto name = [](const CellFindings& c) { return c.cell.guest.substr(0, c.cell.guest.find(' ')); };
  const auto alike =
      std::count_if(all.begin(), all.end(), [&](const CellFindings& c) { return name(c) == name(cell); });
  return alike == 1 ? name(cell) : fmt::format("{}, {}", cell.cell.guest, cell.cell.size);
}

// A word for the shell.
std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_of(" \t\n'\"\\$`;&|<>()*?[]#~!{}") == std::string::npos;
  if (plain) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string{"'\\''"} : std::string{c};
  return text + "'";
}

std::string with_time(const std::vector<std::string>& command, const std::string& called_as, double seconds) {
  const auto minutes = static_cast<uint64_t>(std::ceil(seconds / 60));
  std::string text = called_as;
  for (size_t i = 1; i < command.size(); ++i) {
    if (command[i] == "--max-time") {
      ++i;
    } else if (!command[i].starts_with("--max-time=") && command[i] != "--until-settled") {
      text += " " + quoted(command[i]);
    }
  }
  return text + fmt::format(" --until-settled --max-time {}m", std::max<uint64_t>(1, minutes));
}

}  // namespace

std::string plain_sentences(std::span<const CellFindings> findings, double margin) {
  std::string text;
  for (const CellFindings& cell : findings) text += sentence(cell, place(cell, findings), margin) + "\n";
  return text;
}

std::string going_on(std::span<const CellFindings> findings, const std::vector<std::string>& command,
                     const std::string& called_as) {
  size_t open = 0;
  double seconds = 0;
  for (const CellFindings& cell : findings) {
    size_t most = 0;
    for (const PolicyFindings& policy : cell.policies) {
      const Finding* finding = policy.find(kThroughput);
      if (finding == nullptr || !is_open(finding->verdict)) continue;
      ++open;
      most = std::max(most, finding->more_blocks.value_or(kMinBootstrapPairs));
    }
    const size_t blocks = cell.blocks + most;
    seconds += static_cast<double>(blocks) * cell.block_seconds;
  }
  if (open == 0) return "";
  // The forecast is rough, and blocks that the host disturbs are measured again: half as much on top.
  return fmt::format("{} verdict{} still open. More time settles more:\n  {}\n", open,
                     open == 1 ? " is" : "s are", with_time(command, called_as, 1.5 * seconds));
}

}  // namespace vmm
