#include "vmm/run/window.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "guest/embedded.h"
#include "vmm/run/cpu_choice.h"
#include "vmm/run/guest_pages.h"
#include "vmm/run/never_started.h"
#include "vmm/run/os_thread.h"

namespace vmm {
namespace {

VcpuAccount operator-(const VcpuAccount& end, const VcpuAccount& start) {
  return {.guest = end.guest - start.guest,
          .exits = end.exits - start.exits,
          .entry = end.entry - start.entry,
          .stolen = end.stolen - start.stolen,
          .exit_count = end.exit_count - start.exit_count,
          .kick_count = end.kick_count - start.kick_count,
          .injections = end.injections - start.injections};
}

// Time that the hypervisor below this machine took from the CPUs that runs use (/proc/stat, "steal").
// Nothing: it cannot be read.
std::optional<double> try_steal_ms() {
  constexpr int kStealColumn = 8;
  std::set<std::string> names;
  for (const int cpu : usable_cpus()) names.insert("cpu" + std::to_string(cpu));
  std::ifstream stat("/proc/stat");
  if (!stat.is_open()) return std::nullopt;
  double ticks = 0;
  for (std::string line; std::getline(stat, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (!names.contains(name)) continue;
    double value = 0;
    for (int column = 1; column <= kStealColumn; ++column) words >> value;
    ticks += value;
  }
  if (stat.bad()) return std::nullopt;
  return ticks * 1000.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// Engines have no say in it: it is reported like what a thread cannot cope with.
double steal_ms(Trouble& trouble) {
  for (int tries = 16; tries > 0; --tries) {
    if (const auto known = try_steal_ms()) return *known;
  }
  trouble.report(host_error("read /proc/stat", errno).value());
  return 0;
}

// Running time by where it went. What no account covers of it went into switching: choosing, leasing, moving.
Ledger make_ledger(const sched::StateTimes& times, const VcpuAccount& account, Nanos spinning) {
  // A host thread's parts are derived from clocks that do not tick together: between two moments one may
  // shrink by a fraction of a millisecond.
  const auto grown = [](Nanos part) { return std::max(Nanos{}, part); };
  Ledger ledger;
  ledger.guest = grown(account.guest);
  ledger.exits = grown(account.exits);
  ledger.injection = grown(account.entry);
  ledger.migration = grown(times.running - account.guest - account.exits - account.entry);
  // Where in its time on the worker a vCPU lost it is not known. Most of that is the guest's.
  Nanos stolen = grown(account.stolen);
  for (Nanos* part : {&ledger.guest, &ledger.exits, &ledger.injection, &ledger.migration}) {
    const Nanos taken = std::min(*part, stolen);
    *part -= taken;
    stolen -= taken;
    ledger.stolen += taken;
  }
  ledger.spinning = std::min(spinning, ledger.guest);
  ledger.guest -= ledger.spinning;
  ledger.waiting = grown(times.waiting);
  ledger.halted = grown(times.halted);
  ledger.stopped = grown(times.stopped);
  return ledger;
}

VcpuResult guest_difference(const kvmux_vcpu_results& start, const kvmux_vcpu_results& end,
                            const Calibration& calibration) {
  VcpuResult r;
  add_counters(start, end, calibration, r);
  return r;
}

// By the guest's clock: an answer comes when the guest has had a turn for it.
void take_reports(const std::optional<GuestReport>& start, const std::optional<GuestReport>& end,
                  VmResult& vm) {
  LinuxResult& result = vm.linux_guest.emplace();
  if (!start || !end || end->at <= start->at || end->operations < start->operations) return;
  result.counted = true;
  result.operations = end->operations - start->operations;
  result.guest_time = end->at - start->at;
  result.steal = std::max(Nanos{}, end->steal - start->steal);
  result.latencies = end->latencies;
  vm.ops_per_second =
      static_cast<double>(result.operations) / std::chrono::duration<double>(result.guest_time).count();
}

void add_outcome(LinuxResult outcome, const std::string& complaint, bool answered, VmResult& vm) {
  LinuxResult& result = *vm.linux_guest;
  result.boot_time = outcome.boot_time;
  result.findings = std::move(outcome.findings);
  if (vm.failure.empty()) vm.failure = complaint;
  if (vm.failure.empty() && !result.counted) {
    vm.failure = answered ? "its load reported nothing in the measured window; --seconds makes it longer"
                          : "its agent did not answer at both ends of the measured window";
  }
  if (!vm.failure.empty()) result.last_lines = std::move(outcome.last_lines);
}

VcpuResult vcpu_difference(const VcpuSnapshot& start, const VcpuSnapshot& end,
                           const Calibration& calibration) {
  VcpuResult r = guest_difference(start.guest, end.guest, calibration);
  const VcpuAccount account = end.use.account - start.use.account;
  r.exits = account.exit_count;
  r.kicks = account.kick_count;
  r.sched = end.use.sched - start.use.sched;
  r.ledger = make_ledger(r.sched.times, account, spinning_time(r, calibration));
  return r;
}

}  // namespace

Snapshot take_snapshot(Engine& engine, const RunVms& vms) {
  Snapshot snapshot;
  snapshot.at = monotonic_now();
  for (const auto& one : vms) {
    auto& vcpus = snapshot.vms.emplace_back();
    for (uint32_t i = 0; i < one->vm().vcpu_count(); ++i) {
      const Vcpu& vcpu = one->vm().vcpu(VcpuIndex{i});
      vcpus.push_back({engine.vcpu_use(vcpu, snapshot.at), one->results(VcpuIndex{i})});
    }
    snapshot.reports.push_back(one->report());
  }
  snapshot.cpus = engine.cpu_use(snapshot.at);
  snapshot.steal_ms = steal_ms(engine.trouble());
  snapshot.supply = read_cpu_supply();
  snapshot.usable = usable_cpus();
  return snapshot;
}

Ledger ledger_between(const Engine::VcpuUse& start, const Engine::VcpuUse& end) {
  return make_ledger((end.sched - start.sched).times, end.account - start.account, {});
}

Snapshot peek(const RunVms& vms) {
  Snapshot snapshot;
  snapshot.at = monotonic_now();
  for (const auto& one : vms) {
    auto& vcpus = snapshot.vms.emplace_back();
    for (uint32_t i = 0; i < one->vm().vcpu_count(); ++i) vcpus.push_back({{}, one->results(VcpuIndex{i})});
    snapshot.reports.push_back(one->report());
  }
  snapshot.is_peek = true;
  return snapshot;
}

RunResult counters_between(const RunSpec& spec, const Calibrations& calibrations,
                           const RunVms& vms, const Snapshot& start, const Snapshot& end) {
  const bool has_accounts = !start.is_peek && !end.is_peek;
  RunResult result;
  result.window = end.at - start.at;
  result.window_begin = start.at;
  result.delay_iters_per_ms = calibrations.common().delay_iters_per_ms;
  result.pauses_per_ms = calibrations.common().pauses_per_ms;
  for (size_t v = 0; v < vms.size(); ++v) {
    VmResult& vm = result.vms.emplace_back();
    const Calibration& calibration = calibrations.at(spec.vms[v].ring);
    vm.guest = spec.vms[v].guest;
    vm.policy = spec.vms[v].policy.name;
    uint64_t operations = 0;
    for (size_t i = 0; i < end.vms[v].size(); ++i) {
      const VcpuSnapshot& from = start.vms[v][i];
      const VcpuSnapshot& to = end.vms[v][i];
      vm.vcpus.push_back(has_accounts ? vcpu_difference(from, to, calibration)
                                      : guest_difference(from.guest, to.guest, calibration));
      operations += vm.vcpus.back().operations;
      add_latencies(from.guest, to.guest, vm);
    }
    vm.ops_per_second =
        static_cast<double>(operations) / std::chrono::duration<double>(result.window).count();
    if (spec.vms[v].linux_guest) take_reports(start.reports[v], end.reports[v], vm);
    result.tsc_khz = static_cast<double>(vms[v]->vm().tsc_khz());
  }
  if (!has_accounts) return result;
  for (size_t w = 0; w < end.cpus.size(); ++w) {
    result.worker_busy.push_back(end.cpus[w].busy - start.cpus[w].busy);
    result.noise.involuntary_switches +=
        end.cpus[w].involuntary_switches - start.cpus[w].involuntary_switches;
  }
  result.noise.steal_ms = std::max(0.0, end.steal_ms - start.steal_ms);  // fewer CPUs may be summed by now
  result.noise.cpu_changes = supply_changes(start.supply, end.supply, start.usable);
  return result;
}

RunResult difference(const RunSpec& spec, const Calibrations& calibrations, const RunVms& vms,
                     const Snapshot& start, const Snapshot& end) {
  RunResult result = counters_between(spec, calibrations, vms, start, end);
  for (size_t v = 0; v < vms.size(); ++v) {
    VmResult& vm = result.vms[v];
    vm.checks = vms[v]->checks();
    vm.exit_code = vms[v]->vm().exit_code();
    vm.failure = vms[v]->vm().failure();
    if (auto outcome = vms[v]->outcome()) {
      const bool answered = start.reports[v] && end.reports[v];
      add_outcome(std::move(*outcome), vms[v]->complaint(), answered, vm);
    } else if (!vms[v]->vm().ended()) {
      vm.failure = never_started(vms[v]->vm(), guests::find(vm.guest).has_value(), end.vms[v], vm.vcpus);
    }
  }
  return result;
}

}  // namespace vmm
