#include "vmm/cli/switchback.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>

#include "vmm/cli/linux_guest.h"
#include "vmm/run/sections.h"
#include "vmm/run/setup.h"
#include "vmm/stats/analysis.h"

namespace vmm {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 5> kTurnMetrics{kThroughput, "useful", "ipi_p50", "ipi_p99",
                                                       "ipi_p999"};

std::vector<VmChange> changes_to(const RunSpec& spec) {
  std::vector<VmChange> result;
  for (const VmSpec& vm : spec.vms) result.push_back({vm.policy, vm.handicap_percent});
  return result;
}

RunRecord record_of(const Session& session, const RunSpec& base, const Section& section, size_t turn,
                    uint32_t place) {
  RunRecord record;
  record.id = session.turns[turn];
  record.seed = session.spec.seed;
  record.seconds = static_cast<double>(section.counted->window.count()) / 1e9;
  record.place = place;
  for (auto& [name, value] : measure(spec_of_section(base, session.spec.changes, turn), *section.counted)) {
    if (std::find(kTurnMetrics.begin(), kTurnMetrics.end(), name) == kTurnMetrics.end()) continue;
    // A turn in which nothing was finished, and a ratio needs logarithms: half an operation.
    if (name == kThroughput && value == 0 && record.seconds > 0) value = 0.5 / record.seconds;
    record.metrics.emplace_back(name, value);
  }
  // What the host took is known of the whole turn.
  const RunResult& whole = section.result;
  for (auto& [name, value] : measure(base, whole)) {
    if (name == kStolen) record.metrics.emplace_back(name, value);
  }
  const auto length = static_cast<double>(std::max(Nanos{1}, whole.window).count()) / 1e9;
  record.noise.steal_ms = whole.noise.steal_ms * record.seconds / length;
  record.metrics.emplace_back(kFirstHalf, section.first_half);
  record.metrics.emplace_back(kSecondHalf, section.second_half);
  for (const VmResult& vm : section.counted->vms) record.vm_ops_per_second.push_back(vm.ops_per_second);
  return record;
}

}  // namespace

std::string why_not_in_turns(const RunSpec& a, const RunSpec& b) {
  if (has_linux_guests(a)) return "a Linux guest is asked for its counters, too slowly for turns";
  RunSpec there = a;
  there.changes = {{.at = there.duration / 2, .vms = changes_to(b)}};
  if (const auto ok = check_together(there); !ok) return ok.error().message;
  RunSpec back = b;
  back.changes = {{.at = back.duration / 2, .vms = changes_to(a)}};
  if (const auto ok = check_together(back); !ok) return ok.error().message;
  return {};
}

TurnLengths default_turns(const Cell& cell) {
  constexpr Nanos kShortest = 20ms;
  Nanos longest{};
  for (const Slot& slot : cell.slots) {
    for (const VmSpec& vm : slot.spec.vms) {
      longest = std::max(longest, vm.policy.tuning.slice * vm.policy.tuning.quantum_multiplier);
    }
  }
  const Nanos washout = 2 * longest;
  return {.period = std::max(kShortest, 5 * washout), .washout = washout};
}

bool feels_the_turn_before(const CellFindings& cell) {
  constexpr double kSure = 0.01;
  constexpr double kMatters = 0.01;  // of the ratio
  return std::any_of(cell.policies.begin(), cell.policies.end(), [](const PolicyFindings& policy) {
    return policy.carry_over && policy.carry_over->p < kSure &&
           std::abs(policy.carry_over->ratio - 1) > kMatters;
  });
}

Session make_session(std::span<const Experiment::Next> wanted, const TurnLengths& turns) {
  Session session;
  session.spec = wanted.front().slot->spec;
  session.spec.seed = wanted.front().seed;
  session.spec.quiet_console = true;
  session.spec.washout = turns.washout;
  session.spec.duration = turns.period * static_cast<int64_t>(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    session.turns.push_back(wanted[i].id);
    if (i == 0) continue;
    session.spec.changes.push_back(
        {.at = turns.period * static_cast<int64_t>(i), .vms = changes_to(wanted[i].slot->spec)});
  }
  return session;
}

std::vector<RunRecord> records_of(const Session& session, const RunResult& result, Nanos took) {
  // The last section of an interrupted run is of a turn that was cut short.
  size_t whole = std::min(result.sections.size(), session.turns.size());
  if (result.interrupted && whole > 0) --whole;
  if (result.sections.empty() && session.turns.size() == 1) whole = 0;
  const RunSpec base = without_changes(session.spec);
  // Whoever was to begin counting came too late: the host had something else to do.
  const Nanos period = session.spec.duration / static_cast<int64_t>(session.turns.size());
  const Nanos least = (period - session.spec.washout) / 2;
  std::vector<RunRecord> records;
  std::map<uint32_t, std::vector<RunRecord>> open;  // by block
  std::map<uint32_t, size_t> wanted;
  for (const RunId& id : session.turns) ++wanted[id.block];
  for (size_t turn = 0; turn < whole; ++turn) {
    const Section& section = result.sections[turn];
    if (!section.counted || section.counted->window < least) continue;
    auto& block = open[session.turns[turn].block];
    block.push_back(record_of(session, base, section, turn, static_cast<uint32_t>(block.size())));
    block.back().took = static_cast<double>(took.count()) / 1e9 / static_cast<double>(session.turns.size());
    if (block.size() < wanted[session.turns[turn].block]) continue;
    std::move(block.begin(), block.end(), std::back_inserter(records));
  }
  return records;
}

std::span<const std::string_view> turn_metrics() { return kTurnMetrics; }

}  // namespace vmm
