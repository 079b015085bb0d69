#include "vmm/cli/run_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/cli/guests.h"
#include "vmm/cli/linux_guest.h"
#include "vmm/cli/run_json.h"
#include "vmm/cli/table.h"
#include "vmm/run/moves.h"
#include "vmm/run/sections.h"
#include "vmm/stats/detail.h"
#include "vmm/stats/histogram.h"
#include "vmm/stats/metrics.h"
#include "vmm/stats/sample.h"
#include "vmm/stats/site_figures.h"

namespace vmm {
namespace {

constexpr size_t kManyVcpus = 64;

double seconds(Nanos time) { return static_cast<double>(time.count()) / 1e9; }

double per_second(uint64_t count, Nanos window) {
  return window > Nanos{0} ? static_cast<double>(count) / seconds(window) : 0;
}

size_t vcpu_count(const RunResult& result) {
  size_t count = 0;
  for (const VmResult& vm : result.vms) count += vm.vcpus.size();
  return count;
}

std::string share_of(Nanos part, Nanos whole) {
  return whole > Nanos{0} ? fmt::format("{:.1f}", 100 * seconds(part) / seconds(whole)) : "-";
}

std::string vm_name(size_t index) { return fmt::format("vm{}", index); }

std::string least_and_most(const VmResult& vm, Nanos window) {
  if (vm.vcpus.empty() || vm.linux_guest) return "-";
  const auto [least, most] = std::minmax_element(
      vm.vcpus.begin(), vm.vcpus.end(),
      [](const VcpuResult& a, const VcpuResult& b) { return a.operations < b.operations; });
  return fmt::format("{} … {}", grouped(per_second(least->operations, window)),
                     grouped(per_second(most->operations, window)));
}

std::string throughput_table(const RunSpec& spec, const RunResult& result) {
  Table table({"<VM", "<guest", "<policy", "weight", "vCPUs", "throughput", "each vCPU"});
  double sum = 0;
  for (size_t i = 0; i < result.vms.size(); ++i) {
    const VmResult& vm = result.vms[i];
    sum += vm.ops_per_second;
    table.add({vm_name(i), vm.guest, vm.policy, std::to_string(spec.vms[i].weight.value),
               std::to_string(vm.vcpus.size()), grouped(vm.ops_per_second) + "/s",
               least_and_most(vm, result.window)});
  }
  if (result.vms.size() > 1) {
    table.add_rule();
    table.add({"all", "", "", "", std::to_string(vcpu_count(result)), grouped(sum) + "/s", ""});
  }
  return table.text();
}

// Columns without any time in them only take up room.
std::vector<LedgerColumn> used_columns(const RunResult& result) {
  const Ledger sum = totals(result).ledger;
  std::vector<LedgerColumn> used;
  for (const LedgerColumn& column : ledger_columns()) {
    if (sum.*column.field != Nanos{0}) used.push_back(column);
  }
  return used;
}

std::vector<std::string> ledger_titles(const std::string& first, std::span<const LedgerColumn> columns) {
  std::vector<std::string> titles{first};
  for (const LedgerColumn& column : columns) titles.emplace_back(column.name);
  titles.emplace_back("sum");
  return titles;
}

std::vector<std::string> ledger_row(const std::string& name, const Ledger& ledger,
                                    std::span<const LedgerColumn> columns, Nanos whole) {
  std::vector<std::string> row{name};
  for (const LedgerColumn& column : columns) row.push_back(share_of(ledger.*column.field, whole));
  row.push_back(share_of(ledger.sum(), whole));
  return row;
}

std::string ledger_table(const RunResult& result) {
  const auto columns = used_columns(result);
  Table table(ledger_titles("<where the time went, %", columns));
  for (size_t i = 0; i < result.vms.size(); ++i) {
    const VmResult& vm = result.vms[i];
    const Nanos whole = result.window * static_cast<int64_t>(vm.vcpus.size());
    table.add(ledger_row(vm_name(i), totals(vm).ledger, columns, whole));
  }
  return table.text();
}

std::string vcpu_table(const RunResult& result) {
  const auto columns = used_columns(result);
  auto titles = ledger_titles("<vCPU", columns);
  titles.insert(titles.begin() + 1, {"throughput", "worst wait", "spin exits"});
  Table table(titles);
  for (size_t v = 0; v < result.vms.size(); ++v) {
    const VmResult& vm = result.vms[v];
    for (size_t i = 0; i < vm.vcpus.size(); ++i) {
      const VcpuResult& vcpu = vm.vcpus[i];
      auto row = ledger_row(fmt::format("vm{}/vcpu{}", v, i), vcpu.ledger, columns, result.window);
      const std::string throughput = grouped(per_second(vcpu.operations, result.window)) + "/s";
      row.insert(row.begin() + 1, {vm.linux_guest ? "-" : throughput, human_time(vcpu.sched.worst_wait),
                                   grouped(vcpu.sched.spin_exits)});
      table.add(std::move(row));
    }
    if (v + 1 < result.vms.size()) table.add_rule();
  }
  return table.text();
}

std::string spin_table(const RunResult& result) {
  Table table({"<VM", "spin exits", "yields tried", "done", "local", "remote", "pulls", "hits", "misses",
               "harmful", "penalties", "credits", "preempted", "moved"});
  for (size_t i = 0; i < result.vms.size(); ++i) {
    const Totals sum = totals(result.vms[i]);
    const sched::VcpuStats& s = sum.sched;
    table.add({vm_name(i), grouped(s.spin_exits), grouped(s.yields_tried), grouped(sum.yields_done()),
               grouped(s.yields_local), grouped(s.yields_remote), grouped(s.pulls), grouped(s.yield_hits),
               grouped(s.yield_misses), grouped(s.yield_harmful), grouped(s.penalties), grouped(s.credits),
               grouped(s.preemptions), grouped(s.migrations)});
  }
  return table.text();
}

std::string yields_line(const RunResult& result) {
  const Totals sum = totals(result);
  if (sum.yields_done() == 0) return {};
  std::string line = "Yields by reason:";
  for (size_t i = 0; i < sched::kYieldReasons; ++i) {
    if (sum.sched.yields_done[i] == 0) continue;
    std::string name{yield_reason_name(static_cast<sched::YieldReason>(i))};
    std::replace(name.begin(), name.end(), '_', ' ');
    line += fmt::format("  {} {}", name, grouped(sum.sched.yields_done[i]));
  }
  return line + "\n";
}

// Only where names are known; JSON has the addresses.
std::string site_table(const RunResult& result) {
  Table table({"<VM", "<vCPUs were found", "samples", "<in"});
  bool any = false;
  for (size_t i = 0; i < result.vms.size(); ++i) {
    const VmResult& vm = result.vms[i];
    for (const auto& [how, sites] : {std::pair{"spinning", &vm.spinning}, {"when taken off", &vm.taken_off}}) {
      const std::string words = site_words(*sites);
      if (words.empty()) continue;
      any = true;
      table.add({vm_name(i), how, grouped(samples_of(*sites)), words});
    }
  }
  return any ? table.text() : std::string{};
}

std::string ipi_table(const RunResult& result) {
  Table table({"<VM", "IPIs sent", "acknowledged", "wake-ups", "p50", "p99", "p99.9"});
  bool any = false;
  for (size_t i = 0; i < result.vms.size(); ++i) {
    const VmResult& vm = result.vms[i];
    const Totals sum = totals(vm);
    any = any || sum.ipis_sent != 0;
    std::vector<std::string> row{vm_name(i), grouped(sum.ipis_sent), grouped(sum.ipis_acked),
                                 grouped(sum.wakeups)};
    for (const double q : {0.5, 0.99, 0.999}) {
      const auto time = histogram_quantile_time(vm.ack_hist, q, result.tsc_khz);
      row.push_back(time ? human_time(*time) : "-");
    }
    table.add(std::move(row));
  }
  return any ? table.text() : std::string{};
}

std::string summary_lines(const RunSpec& spec, const RunResult& result) {
  std::string text;
  const auto shares = vm_shares(spec, result);
  if (shares.size() > 1) {
    text += fmt::format("Fairness between VMs: worst/best {:.3f}, Jain {:.4f}\n",
                        min_over_max(shares).value_or(0), jain_index(shares).value_or(0));
  }
  for (const auto& [name, value] : measure(spec, result)) {
    if (name == "vcpu_fairness")
      text += fmt::format("Fairness between vCPUs of a VM: worst/best {:.3f}\n", value);
    if (name == "useful")
      text += fmt::format("Useful: {} of the workers' time was counted work\n", percent(value));
  }
  if (result.moves) text += "Moves: " + moves_text(*result.moves, spec.backend) + "\n";
  if (spec.backend == Backend::kSim) {
    return text + fmt::format("Simulated: {} events, cost profile {}\n", grouped(result.sim_events),
                              spec.cost_profile);
  }
  const Nanos all = result.window * static_cast<int64_t>(spec.workers);
  text += fmt::format("Host: took {} % of the workers' time, {} involuntary switches; spin window {}\n",
                      share_of(totals(result).ledger.stolen, all), grouped(result.noise.involuntary_switches),
                      human_time(result.spin_window));
  for (const std::string& change : result.noise.cpu_changes)
    text += fmt::format("Host: {} while this was measured\n", change);
  return text;
}

// Throughput and where the time went between two changes of policies.
std::string section_tables(const RunSpec& spec, const RunResult& result) {
  std::string text;
  const RunSpec base = without_changes(spec);
  for (size_t i = 0; i < result.sections.size(); ++i) {
    const RunResult& section = result.sections[i].result;
    const Nanos from = section.window_begin - result.window_begin;
    text += fmt::format("From {:.3f} s to {:.3f} s:\n", seconds(from), seconds(from + section.window));
    text += throughput_table(spec_of_section(base, spec.changes, i), section) + ledger_table(section) + "\n";
  }
  return text;
}

std::string linux_lines(const VmResult& vm, const std::string& name) {
  const LinuxResult& result = *vm.linux_guest;
  std::string text = fmt::format("{}: Linux was ready after {:.1f} s", name, seconds(result.boot_time));
  if (result.counted) {
    text += fmt::format("; steal by its own account {} ms", grouped(seconds(result.steal) * 1000));
    text += fmt::format(", by the ledger {} ms", grouped(seconds(ledger_steal(vm)) * 1000));
    for (const auto& [quantile, time] : result.latencies)
      text += fmt::format(", {} {}", quantile, human_time(time));
  }
  text += "\n";
  for (const std::string& finding : result.findings) text += fmt::format("{}: finding: {}\n", name, finding);
  for (const std::string& line : result.last_lines) text += fmt::format("{}| {}\n", name, line);
  return text;
}

std::string guest_lines(const RunResult& result) {
  std::string text;
  for (size_t i = 0; i < result.vms.size(); ++i) {
    const VmResult& vm = result.vms[i];
    for (const CheckResult& check : vm.checks) {
      text += fmt::format("{}/vcpu{}: {} {} = {}\n", vm_name(i), check.vcpu, check.ok ? "ok" : "FAILED",
                          check.name, check.value);
    }
    if (const uint64_t errors = totals(vm).guest_errors; errors != 0) {
      text +=
          fmt::format("{}: FAILED: the guest counted {} broken expectations\n", vm_name(i), grouped(errors));
    }
    if (vm.exit_code)
      text += fmt::format("{}: the guest ended with exit code {}\n", vm_name(i), *vm.exit_code);
    if (vm.linux_guest) text += linux_lines(vm, vm_name(i));
    if (!vm.failure.empty()) text += fmt::format("{}: FAILED: {}\n", vm_name(i), vm.failure);
    if (!vm.note.empty()) text += fmt::format("{}: note: {}\n", vm_name(i), vm.note);
  }
  for (const std::string& stall : result.stalls) text += fmt::format("stall: {}\n", stall);
  return text;
}

}  // namespace

std::string run_title(const RunSpec& spec) {
  size_t vcpus = 0;
  bool alike = true;
  for (const VmSpec& vm : spec.vms) {
    vcpus += vm.vcpus;
    alike = alike && vm.guest == spec.vms.front().guest && vm.vcpus == spec.vms.front().vcpus;
  }
  std::string size = fmt::format("{} VM{}", spec.vms.size(), spec.vms.size() == 1 ? "" : "s");
  size +=
      alike ? fmt::format(" × {} vCPUs", spec.vms.front().vcpus) : fmt::format(", {} vCPUs in all", vcpus);
  std::string title =
      fmt::format("{}: {} on {} worker{}", spec.backend == Backend::kKvm ? "KVM" : "Simulator", size,
                  spec.workers, spec.workers == 1 ? "" : "s");
  if (alike) {
    const VmSpec& vm = spec.vms.front();
    const std::string workload =
        vm.linux_guest ? vm.linux_guest->load : describe_workload(vm.guest, vm.workload);
    title += ", " + vm.guest + (workload.empty() ? "" : " (" + workload + ")");
  }
  return title;
}

std::string run_text(const RunSpec& spec, const RunResult& result, VcpuDetail detail) {
  std::string text = fmt::format("{}, {}{}\n\n", run_title(spec), human_time(result.window),
                                 result.interrupted ? " (interrupted)" : "");
  for (const std::string& part : {throughput_table(spec, result), ledger_table(result)}) text += part + "\n";
  if (detail == VcpuDetail::kAlways || vcpu_count(result) < kManyVcpus) text += vcpu_table(result) + "\n";
  text += spin_table(result) + yields_line(result) + "\n";
  if (const std::string sites = site_table(result); !sites.empty()) text += sites + "\n";
  if (const std::string ipis = ipi_table(result); !ipis.empty()) text += ipis + "\n";
  text += section_tables(spec, result);
  return text + summary_lines(spec, result) + guest_lines(result);
}

bool has_guest_failure(const RunResult& result) {
  return std::any_of(result.vms.begin(), result.vms.end(), [](const VmResult& vm) {
    const bool bad_check =
        std::any_of(vm.checks.begin(), vm.checks.end(), [](const CheckResult& check) { return !check.ok; });
    return bad_check || !vm.failure.empty() || vm.exit_code.value_or(0) != 0 || totals(vm).guest_errors != 0;
  });
}

}  // namespace vmm
