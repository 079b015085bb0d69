#include "vmm/live/frame.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/stats/histogram.h"

namespace vmm {
namespace {

double share(Nanos part, Nanos whole) {
  if (whole <= Nanos{}) return 0;
  return std::clamp(static_cast<double>(part.count()) / static_cast<double>(whole.count()), 0.0, 1.0);
}

uint64_t grown(uint64_t from, uint64_t to) { return to > from ? to - from : 0; }

std::string name_of(const VcpuView& vcpu) {
  return fmt::format("{}.{}", index_of(vcpu.vm), index_of(vcpu.index));
}

std::string state_of(const VcpuView& vcpu, bool host_schedules) {
  switch (vcpu.state) {
    case sched::RunState::kRunning:
      return host_schedules ? "runnable" : fmt::format("on w{}", index_of(vcpu.worker));
    case sched::RunState::kQueued:
      return vcpu.spinning ? "spins" : "waits";
    case sched::RunState::kHalted:
      return "halted";
    case sched::RunState::kMoving:
      return "moves";
    case sched::RunState::kStopped:
      return "stopped";
    case sched::RunState::kNew:
      break;
  }
  return "new";
}

LiveShares shares_of(const LiveSample& from, const LiveSample& to, size_t i) {
  const Nanos window = to.machine.at - from.machine.at;
  const sched::StateTimes& start = from.machine.vcpus[i].times;
  const sched::StateTimes& end = to.machine.vcpus[i].times;
  LiveShares shares{.run = share(end.running - start.running, window),
                    .wait = share(end.waiting - start.waiting, window),
                    .halt = share(end.halted - start.halted, window)};
  if (to.host_schedules) {  // its thread could run, and did for a part of that
    const double computed =
        share(to.counted[i].sched.times.running - from.counted[i].sched.times.running, window);
    const double ran = std::min(shares.run, computed);
    shares.wait += shares.run - ran;
    shares.run = ran;
  }
  if (!to.guests.empty()) {
    shares.spin = std::min(shares.run, share(to.guests[i].spinning - from.guests[i].spinning, window));
    shares.run -= shares.spin;
  }
  return shares;
}

std::optional<Nanos> ipi_p99(const LiveSample& from, const LiveSample& to, size_t i) {
  if (to.guests.empty()) return std::nullopt;
  std::array<uint64_t, KVMUX_HIST_BUCKETS> acks{};
  for (size_t b = 0; b < acks.size(); ++b) {
    // As wide as the guest's own counters, which may run over.
    acks[b] = to.guests[i].acks[b] - from.guests[i].acks[b];
  }
  return histogram_quantile_time(acks, 0.99, to.tsc_khz);
}

std::vector<LiveWorker> workers_of(const LiveSample& from, const LiveSample& to) {
  std::vector<LiveWorker> workers;
  if (to.host_schedules) return workers;
  const Nanos window = to.machine.at - from.machine.at;
  for (size_t i = 0; i < to.machine.workers.size(); ++i) {
    const WorkerView& view = to.machine.workers[i];
    LiveWorker worker{.load = share(view.busy - from.machine.workers[i].busy, window)};
    if (view.vcpu && index_of(*view.vcpu) < to.machine.vcpus.size()) {
      worker.runs = name_of(to.machine.vcpus[index_of(*view.vcpu)]);
    }
    worker.doing = view.doing == WorkerView::Doing::kAsleep   ? "sleeps"
                   : view.doing == WorkerView::Doing::kParked ? "is held"
                                                              : "switches";
    const uint32_t running = view.vcpu ? 1 : 0;
    worker.waiting = view.runnable > running ? view.runnable - running : 0;
    workers.push_back(std::move(worker));
  }
  return workers;
}

// Both are of the same machine.
bool match(const LiveSample& from, const LiveSample& to) {
  return from.machine.vcpus.size() == to.machine.vcpus.size() &&
         from.machine.workers.size() == to.machine.workers.size() &&
         from.counted.size() == to.counted.size() && from.guests.size() == to.guests.size() &&
         to.machine.at > from.machine.at;
}

}  // namespace

void show_between(const LiveSample& from, const LiveSample& to, LiveFrame& frame) {
  if (!match(from, to)) return;
  const double seconds = std::chrono::duration<double>(to.machine.at - from.machine.at).count();
  const auto per_second = [seconds](uint64_t a, uint64_t b) {
    return static_cast<double>(grown(a, b)) / seconds;
  };
  frame.workers = workers_of(from, to);
  frame.vcpus.clear();
  LiveRates rates;
  uint64_t operations = 0;
  for (size_t i = 0; i < to.machine.vcpus.size(); ++i) {
    const VcpuView& view = to.machine.vcpus[i];
    const Engine::VcpuUse& start = from.counted[i];
    const Engine::VcpuUse& end = to.counted[i];
    const double switches = per_second(start.sched.switches_in, end.sched.switches_in);
    frame.vcpus.push_back({.name = name_of(view),
                           .state = state_of(view, to.host_schedules),
                           .shares = shares_of(from, to, i),
                           .ipi_p99 = ipi_p99(from, to, i),
                           .switches = switches});
    for (size_t reason = 0; reason < sched::kYieldReasons; ++reason) {
      rates.yields += per_second(start.sched.yields_done[reason], end.sched.yields_done[reason]);
    }
    rates.hits += per_second(start.sched.yield_hits, end.sched.yield_hits);
    rates.misses += per_second(start.sched.yield_misses, end.sched.yield_misses);
    rates.harmful += per_second(start.sched.yield_harmful, end.sched.yield_harmful);
    rates.pulls += per_second(start.sched.pulls, end.sched.pulls);
    rates.kicks += per_second(start.account.kick_count, end.account.kick_count);
    rates.exits += per_second(start.account.exit_count, end.account.exit_count);
    rates.switches += switches;
    if (!to.guests.empty()) operations += grown(from.guests[i].operations, to.guests[i].operations);
  }
  rates.steals = per_second(from.steals, to.steals);
  rates.balances = per_second(from.balances, to.balances);
  if (!to.guests.empty()) rates.operations = static_cast<double>(operations) / seconds;
  frame.rates = rates;
}

}  // namespace vmm
