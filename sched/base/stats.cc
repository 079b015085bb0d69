#include "sched/base/stats.h"

namespace sched {
namespace {

// All members but worst_wait, which has no difference.
template <class A, class B, class Fn>
void for_each_sum(A& a, B& b, Fn fn) {
  fn(a.times.running, b.times.running);
  fn(a.times.waiting, b.times.waiting);
  fn(a.times.halted, b.times.halted);
  fn(a.times.stopped, b.times.stopped);
  fn(a.switches_in, b.switches_in);
  fn(a.preemptions, b.preemptions);
  fn(a.migrations, b.migrations);
  fn(a.wakeups, b.wakeups);
  fn(a.spin_exits, b.spin_exits);
  fn(a.yields_tried, b.yields_tried);
  fn(a.yields_local, b.yields_local);
  fn(a.yields_remote, b.yields_remote);
  fn(a.pulls, b.pulls);
  fn(a.penalties, b.penalties);
  fn(a.credits, b.credits);
  fn(a.penalty_sum, b.penalty_sum);
  fn(a.ipis_sent, b.ipis_sent);
  fn(a.eois, b.eois);
  fn(a.yield_hits, b.yield_hits);
  fn(a.yield_misses, b.yield_misses);
  fn(a.yield_harmful, b.yield_harmful);
  fn(a.right_possible, b.right_possible);
  fn(a.extensions, b.extensions);
  fn(a.urged, b.urged);
  for (size_t i = 0; i < a.yields_done.size(); ++i) {
    fn(a.yields_done[i], b.yields_done[i]);
    fn(a.yields_right[i], b.yields_right[i]);
  }
}

}  // namespace

VcpuStats operator-(const VcpuStats& end, const VcpuStats& start) {
  VcpuStats difference = end;
  for_each_sum(difference, start, [](auto& to, const auto& from) { to -= from; });
  return difference;
}

VcpuStats copy_of(const VcpuCounters& counters) {
  VcpuStats copy;
  for_each_sum(copy, counters, [](auto& to, const auto& from) { to = from; });
  copy.worst_wait = counters.worst_wait;
  return copy;
}

}  // namespace sched
