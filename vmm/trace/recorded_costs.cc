#include "vmm/trace/recorded_costs.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

namespace vmm {
namespace {

using sched::Nanos;
using sched::TraceEvent;
using sched::TraceExit;
using sched::TraceKind;
using sched::sim::CostProfile;

std::optional<int64_t> median(std::vector<int64_t>& values) {
  if (values.empty()) return std::nullopt;
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// A file may say anything; no host takes longer for one of these.
int64_t within(int64_t cost) { return std::clamp<int64_t>(cost, 1, 100'000'000); }

// The gaps between stays in the guest, by what is between them; and of stays what is not the guest's.
struct Gaps {
  std::vector<int64_t> entries;   // from entering after an ICR write to the mark right behind it
  std::vector<int64_t> leavings;  // from a mark to the ICR write right behind it
  std::vector<int64_t> spins;     // stays of nothing but busy-waiting, from bell to bell
  std::vector<int64_t> exits;     // a store to the doorbell or the ICR, and back into the same vCPU
  std::vector<int64_t> switches;  // from the last vCPU's leaving to the next one's entry, nothing injected
  int64_t stolen = 0;
  int64_t thefts = 0;
  int64_t busy = 0;  // workers' time with a vCPU
};

struct WorkerState {
  std::optional<int64_t> exited;  // by such a store, nothing else since
  std::optional<int64_t> left;    // the last vCPU did
  bool came = false;              // another has come since
  std::optional<int64_t> on_since;
  bool after_send = false;         // the next entry comes back from an ICR write
  bool after_bell = false;         // … from the doorbell
  std::optional<int64_t> entered;  // and nothing has happened since
  std::optional<int64_t> put;      // the last thing was to leave something for another vCPU

  // How long entering and leaving take, seen from what the guest does right before and right after.
  void look(const TraceEvent& event, Gaps& gaps);
};

void WorkerState::look(const TraceEvent& event, Gaps& gaps) {
  const auto why = static_cast<TraceExit>(event.why);
  const auto mark = static_cast<sched::TraceMark>(event.why);
  switch (event.kind) {
    case TraceKind::kEnter:
      entered = event.at;
      return;
    case TraceKind::kMark:
      if (after_send && entered &&
          (mark == sched::TraceMark::kSleeps || mark == sched::TraceMark::kAwaitsAcks))
        gaps.entries.push_back(event.at - *entered);
      put.reset();
      if (mark == sched::TraceMark::kPuts) put = event.at;
      entered.reset();
      return;
    case TraceKind::kExit:
      if (why == TraceExit::kIpi && put) gaps.leavings.push_back(event.at - *put);
      if (why == TraceExit::kSpin && after_bell && entered) gaps.spins.push_back(event.at - *entered);
      after_send = why == TraceExit::kIpi;
      after_bell = why == TraceExit::kSpin;
      put.reset();
      return;
    case TraceKind::kInject:
    case TraceKind::kOut:
      after_send = after_bell = false;
      return;
    default:
      return;
  }
}

Gaps gaps_of(const Trace& trace) {
  Gaps gaps;
  std::vector<WorkerState> workers(trace.workers);
  for (const TraceEvent& event : trace.events) {
    if (event.at < trace.window_begin || event.worker >= workers.size()) continue;
    if (event.at >= trace.window_end) break;
    WorkerState& worker = workers[event.worker];
    worker.look(event, gaps);
    switch (event.kind) {
      case TraceKind::kExit: {
        const auto why = static_cast<TraceExit>(event.why);
        if (why == TraceExit::kSpin || why == TraceExit::kIpi) worker.exited = event.at;
        break;
      }
      case TraceKind::kEnter:
        if (worker.exited) gaps.exits.push_back(event.at - *worker.exited);
        if (worker.left && worker.came) gaps.switches.push_back(event.at - *worker.left);
        worker.exited.reset();
        worker.left.reset();
        worker.came = false;
        break;
      case TraceKind::kOut:
        if (worker.on_since) gaps.busy += event.at - *worker.on_since;
        worker.exited.reset();
        worker.left = event.at;
        worker.came = false;
        worker.on_since.reset();
        break;
      case TraceKind::kIn:
        worker.came = true;
        worker.on_since = event.at;
        break;
      case TraceKind::kInject:
        worker.exited.reset();
        worker.left.reset();
        break;
      case TraceKind::kStolen:
        gaps.stolen += static_cast<int64_t>(event.value);
        ++gaps.thefts;
        break;
      default:
        break;
    }
  }
  return gaps;
}

// Entering and leaving, as the trace shows it; by the calibration before the run where it does not.
int64_t entry_cost_of(const Trace& trace, int64_t handle, Gaps& gaps) {
  constexpr size_t kEnough = 50;
  constexpr double kLeavingShare = 0.8;  // of an entry, where no leaving is seen
  if (gaps.entries.size() >= kEnough) {
    const int64_t entry = *median(gaps.entries);
    const auto guess = static_cast<int64_t>(static_cast<double>(entry) * kLeavingShare);
    return entry + (gaps.leavings.size() >= kEnough ? *median(gaps.leavings) : guess);
  }
  if (gaps.spins.size() >= kEnough && *median(gaps.spins) > trace.spin_window)
    return *median(gaps.spins) - trace.spin_window;
  return trace.exit_cost - handle;
}

// What such a gap took beyond the usual is the host's doing as well.
void count_thefts(const std::vector<int64_t>& lengths, int64_t usual, Gaps& gaps) {
  constexpr int64_t kTheft = 20'000;
  for (const int64_t length : lengths) {
    gaps.busy += length;
    if (length - usual < kTheft) continue;
    gaps.stolen += length - usual;
    ++gaps.thefts;
  }
}

}  // namespace

const CostProfile& closest_profile(const Trace& trace) {
  const auto profiles = sched::sim::built_in_profiles();
  const double cost = std::max(1.0, static_cast<double>(trace.exit_cost));
  const auto distance = [&](const sched::sim::NamedProfile& profile) {
    return std::abs(std::log(static_cast<double>(profile.costs.exit_user.count()) / cost));
  };
  return std::min_element(profiles.begin(), profiles.end(),
                          [&](const auto& a, const auto& b) { return distance(a) < distance(b); })
      ->costs;
}

RecordedCosts recorded_costs(const Trace& trace, const CostProfile& base) {
  if (trace.exit_cost <= 0) return {.profile = base, .entry_cost = 0};
  Gaps gaps = gaps_of(trace);
  RecordedCosts costs{.profile = base, .entry_cost = 0};
  CostProfile& profile = costs.profile;
  const int64_t handle = within(median(gaps.exits).value_or(base.handle.count()));
  costs.entry_cost = within(entry_cost_of(trace, handle, gaps));
  const double factor = static_cast<double>(costs.entry_cost) / static_cast<double>(base.exit_user.count());
  for (const sched::sim::CostField& field : sched::sim::cost_fields()) {
    const bool is_cost = field.name.ends_with("_ns") && !field.name.starts_with("host_tick");
    const auto scaled = std::llround(static_cast<double>(field.get(base)) * factor);
    if (is_cost) field.set(profile, std::max<int64_t>(field.min, scaled));
  }
  profile.handle = Nanos{handle};
  profile.exit_user = Nanos{costs.entry_cost};
  if (const auto change = median(gaps.switches)) profile.vcpu_switch = Nanos{within(*change)};
  count_thefts(gaps.switches, profile.vcpu_switch.count(), gaps);
  count_thefts(gaps.exits, profile.handle.count(), gaps);
  profile.noise_interval =
      Nanos{gaps.thefts == 0 ? 0 : std::max<int64_t>(1, gaps.busy - gaps.stolen) / gaps.thefts};
  profile.noise_length = Nanos{gaps.thefts == 0 ? 0 : gaps.stolen / gaps.thefts};
  return costs;
}

}  // namespace vmm
