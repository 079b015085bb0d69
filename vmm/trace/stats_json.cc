#include "vmm/stats/site_figures.h"
#include "vmm/trace/dump.h"
#include "vmm/trace/stats.h"

namespace vmm {
namespace {

Json figures(const Latencies& latencies) {
  const auto& histogram = latencies.histogram();
  size_t used = histogram.size();
  while (used > 0 && histogram[used - 1] == 0) --used;
  return {{"count", latencies.count()},
          {"sum_ns", latencies.sum()},
          {"p50_ns", latencies.quantile(0.5)},
          {"p90_ns", latencies.quantile(0.9)},
          {"p99_ns", latencies.quantile(0.99)},
          {"p999_ns", latencies.quantile(0.999)},
          {"max_ns", latencies.largest()},
          {"below_power_of_two",
           std::vector<uint64_t>(histogram.begin(), histogram.begin() + static_cast<ptrdiff_t>(used))}};
}

Json all_of(const TraceLatencies& latencies) {
  return {{"wait", figures(latencies.wait)},
          {"run", figures(latencies.run)},
          {"wakeup", figures(latencies.wakeup)},
          {"ipi", figures(latencies.ipi)},
          {"ipi_injection", figures(latencies.injection)},
          {"ipi_handling", figures(latencies.handling)},
          {"lock_held", figures(latencies.holds)},
          {"busy_wait", figures(latencies.busy_waits)}};
}

Json yields_of(const TraceStats& stats) {
  Json yields = Json::object();
  for (const auto& [reason, count] : stats.yields) {
    const std::string name = why_of({.kind = sched::TraceKind::kYield, .why = reason});
    yields[name] = {{"failed", count.how[0]},     {"here", count.how[1]},    {"there", count.how[2]},
                    {"pulled", count.how[3]},     {"hit", count.outcome[0]}, {"miss", count.outcome[1]},
                    {"harmful", count.outcome[2]}};
  }
  return yields;
}

Json preempted_of(const TraceStats& stats) {
  Json pairs = Json::array();
  for (const auto& [pair, count] : stats.preempted) {
    pairs.push_back({{"by_vm", pair.first}, {"vm", pair.second}, {"count", count}});
  }
  return pairs;
}

Json ipis_of(const Trace& trace, const TraceStats& stats) {
  Json pairs = Json::array();
  for (const auto& [pair, ipis] : stats.ipis) {
    pairs.push_back({{"sender", trace.name_of(pair.first)},
                     {"receiver", trace.name_of(pair.second)},
                     {"injection", figures(ipis.injection)},
                     {"handling", figures(ipis.handling)},
                     {"unfinished", ipis.unfinished}});
  }
  Json fanouts = Json::array();
  for (const auto& [receivers, latencies] : stats.fanouts) {
    fanouts.push_back({{"receivers", receivers}, {"until_last", figures(latencies)}});
  }
  Json chains = Json::array();
  for (const auto& [depth, count] : stats.ipi_chains) chains.push_back({{"depth", depth}, {"ipis", count}});
  return {{"pairs", std::move(pairs)}, {"fanouts", std::move(fanouts)}, {"chains", std::move(chains)}};
}

Json wakeups_of(const Trace& trace, const TraceStats& stats) {
  Json pairs = Json::array();
  for (const auto& [pair, latencies] : stats.wakers) {
    pairs.push_back({{"waker", trace.name_of(pair.first)},
                     {"woken", trace.name_of(pair.second)},
                     {"until_it_runs", figures(latencies)}});
  }
  Json chains = Json::array();
  for (const auto& [depth, count] : stats.wake_chains)
    chains.push_back({{"depth", depth}, {"wakeups", count}});
  return {{"by_ipi", std::move(pairs)}, {"by_others", stats.other_wakeups}, {"chains", std::move(chains)}};
}

}  // namespace

Json stats_json(const Trace& trace, const TraceStats& stats) {
  Json vms = Json::array();
  for (size_t i = 0; i < trace.vms.size(); ++i) {
    vms.push_back({{"guest", trace.vms[i].guest},
                   {"policy", trace.vms[i].policy},
                   {"latencies", all_of(stats.vms[i])}});
    if (!stats.spin_sites[i].sites.empty()) vms.back()["spin_sites"] = sites_json(stats.spin_sites[i]);
  }
  Json vcpus = Json::array();
  for (uint32_t vcpu = 0; vcpu < trace.vcpus(); ++vcpu) {
    vcpus.push_back({{"vcpu", trace.name_of(vcpu)}, {"running_ns", stats.running[vcpu]}});
  }
  Json kinds = Json::object();
  for (const auto& [kind, count] : stats.kinds) kinds[std::string{name_of(kind)}] = count;
  return {{"schema", "kvmux.trace-stats"},
          {"schema_version", 1},
          {"run", trace.run},
          {"backend", trace.backend},
          {"from_ns", stats.from - trace.window_begin},
          {"to_ns", stats.to - trace.window_begin},
          {"lost", trace.lost},
          {"events", stats.events},
          {"kinds", std::move(kinds)},
          {"latencies", all_of(stats.all)},
          {"vms", std::move(vms)},
          {"vcpus", std::move(vcpus)},
          {"preempted", preempted_of(stats)},
          {"yields", yields_of(stats)},
          {"wakeups", wakeups_of(trace, stats)},
          {"ipis", ipis_of(trace, stats)}};
}

}  // namespace vmm
