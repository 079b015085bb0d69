#include "sched/base/stats.h"

namespace sched {

VcpuStats operator-(const VcpuStats& end, const VcpuStats& start) {
  VcpuStats d = end;
  d.times.running -= start.times.running;
  d.times.waiting -= start.times.waiting;
  d.times.halted -= start.times.halted;
  d.times.stopped -= start.times.stopped;
  d.switches_in -= start.switches_in;
  d.preemptions -= start.preemptions;
  d.migrations -= start.migrations;
  d.wakeups -= start.wakeups;
  d.spin_exits -= start.spin_exits;
  d.yields_tried -= start.yields_tried;
  for (size_t i = 0; i < d.yields_done.size(); ++i) d.yields_done[i] -= start.yields_done[i];
  d.yields_local -= start.yields_local;
  d.yields_remote -= start.yields_remote;
  d.pulls -= start.pulls;
  d.penalties -= start.penalties;
  d.credits -= start.credits;
  d.penalty_sum -= start.penalty_sum;
  d.ipis_sent -= start.ipis_sent;
  d.eois -= start.eois;
  d.yield_hits -= start.yield_hits;
  d.yield_misses -= start.yield_misses;
  d.yield_harmful -= start.yield_harmful;
  return d;
}

}  // namespace sched
