// Sums over vCPUs.
#include <algorithm>
#include <array>
#include <numeric>

#include "vmm/stats/metrics.h"

namespace vmm {
namespace {

constexpr std::array kLedgerColumns{
    LedgerColumn{"guest", &Ledger::guest},         LedgerColumn{"spinning", &Ledger::spinning},
    LedgerColumn{"waiting", &Ledger::waiting},     LedgerColumn{"halted", &Ledger::halted},
    LedgerColumn{"exits", &Ledger::exits},         LedgerColumn{"injection", &Ledger::injection},
    LedgerColumn{"migration", &Ledger::migration}, LedgerColumn{"stolen", &Ledger::stolen},
    LedgerColumn{"stopped", &Ledger::stopped},
};

void add(sched::VcpuStats& sum, const sched::VcpuStats& one) {
  sum.times.running += one.times.running;
  sum.times.waiting += one.times.waiting;
  sum.times.halted += one.times.halted;
  sum.times.stopped += one.times.stopped;
  sum.worst_wait = std::max(sum.worst_wait, one.worst_wait);
  sum.switches_in += one.switches_in;
  sum.preemptions += one.preemptions;
  sum.migrations += one.migrations;
  sum.wakeups += one.wakeups;
  sum.spin_exits += one.spin_exits;
  sum.yields_tried += one.yields_tried;
  for (size_t i = 0; i < sched::kYieldReasons; ++i) {
    sum.yields_done[i] += one.yields_done[i];
    sum.yields_right[i] += one.yields_right[i];
  }
  sum.right_possible += one.right_possible;
  sum.extensions += one.extensions;
  sum.urged += one.urged;
  sum.yields_local += one.yields_local;
  sum.yields_remote += one.yields_remote;
  sum.pulls += one.pulls;
  sum.penalties += one.penalties;
  sum.credits += one.credits;
  sum.penalty_sum += one.penalty_sum;
  sum.ipis_sent += one.ipis_sent;
  sum.eois += one.eois;
  sum.yield_hits += one.yield_hits;
  sum.yield_misses += one.yield_misses;
  sum.yield_harmful += one.yield_harmful;
}

void add(Totals& sum, const VcpuResult& vcpu) {
  for (const LedgerColumn& column : kLedgerColumns) sum.ledger.*column.field += vcpu.ledger.*column.field;
  add(sum.sched, vcpu.sched);
  sum.operations += vcpu.operations;
  sum.work_time += vcpu.work_time;
  sum.exits += vcpu.exits;
  sum.kicks += vcpu.kicks;
  sum.ipis_sent += vcpu.ipis_sent;
  sum.ipis_acked += vcpu.ipis_acked;
  sum.wakeups += vcpu.wakeups;
  sum.guest_errors += vcpu.guest_errors;
}

}  // namespace

std::span<const LedgerColumn> ledger_columns() { return kLedgerColumns; }

uint64_t Totals::yields_done() const {
  return std::accumulate(sched.yields_done.begin(), sched.yields_done.end(), uint64_t{0});
}

Nanos Totals::on_worker() const {
  return ledger.guest + ledger.spinning + ledger.exits + ledger.injection + ledger.migration + ledger.stolen;
}

Totals totals(const VmResult& vm) {
  Totals sum;
  for (const VcpuResult& vcpu : vm.vcpus) add(sum, vcpu);
  return sum;
}

Nanos ledger_steal(const VmResult& vm) {
  const Ledger sum = totals(vm).ledger;
  return sum.waiting + sum.stolen;
}

Totals totals(const RunResult& result) {
  Totals sum;
  for (const VmResult& vm : result.vms) {
    for (const VcpuResult& vcpu : vm.vcpus) add(sum, vcpu);
  }
  return sum;
}

}  // namespace vmm
