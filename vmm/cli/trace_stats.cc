#include "vmm/cli/trace_stats.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/cli/table.h"
#include "vmm/stats/site_figures.h"
#include "vmm/trace/dump.h"

namespace vmm {
namespace {

constexpr size_t kMostPairs = 20;  // of a list that grows with the square of the vCPUs; JSON has all

constexpr size_t kMostVms = 12;  // likewise

std::string vms_left(const Trace& trace) {
  return trace.vms.size() > kMostVms
             ? fmt::format("and {} more VMs (--json has all)\n", trace.vms.size() - kMostVms)
             : "";
}

std::string time_of(const Latencies& latencies, double share) {
  return latencies.count() == 0 ? "-" : human_time(Nanos{latencies.quantile(share)});
}

std::vector<std::string> quantiles_of(const Latencies& latencies) {
  return {grouped(uint64_t{latencies.count()}),
          time_of(latencies, 0.5),
          time_of(latencies, 0.9),
          time_of(latencies, 0.99),
          time_of(latencies, 0.999),
          time_of(latencies, 1.0)};
}

void add_row(Table& table, std::vector<std::string> head, const Latencies& latencies) {
  for (std::string& cell : quantiles_of(latencies)) head.push_back(std::move(cell));
  table.add(std::move(head));
}

void add_rows(Table& table, const std::string& who, const TraceLatencies& latencies) {
  add_row(table, {who, "wait for a worker"}, latencies.wait);
  add_row(table, {who, "run on a worker"}, latencies.run);
  add_row(table, {who, "wake-up until it runs"}, latencies.wakeup);
  add_row(table, {who, "IPI until injected"}, latencies.injection);
  add_row(table, {who, "injected until EOI"}, latencies.handling);
  add_row(table, {who, "IPI until EOI"}, latencies.ipi);
  if (latencies.holds.count() > 0) add_row(table, {who, "owns a lock"}, latencies.holds);
  if (latencies.busy_waits.count() > 0) add_row(table, {who, "busy-waits"}, latencies.busy_waits);
}

std::string latency_table(const Trace& trace, const TraceStats& stats) {
  Table table({"<VM", "<time", "count", "p50", "p90", "p99", "p99.9", "largest"});
  add_rows(table, "all", stats.all);
  for (size_t i = 0; trace.vms.size() > 1 && i < std::min(trace.vms.size(), kMostVms); ++i) {
    table.add_rule();
    add_rows(table, fmt::format("{} {}", i, trace.vms[i].guest), stats.vms[i]);
  }
  return table.text() + vms_left(trace);
}

// Powers of two that hold anything, one row each; all but the count's ends are nothing to look at.
std::string histogram_table(const TraceStats& stats) {
  const TraceLatencies& all = stats.all;
  const std::array columns{&all.wait, &all.run, &all.wakeup, &all.ipi};
  size_t first = Latencies::kBuckets;
  size_t last = 0;
  for (const Latencies* column : columns) {
    for (size_t b = 0; b < Latencies::kBuckets; ++b) {
      if (column->histogram()[b] == 0) continue;
      first = std::min(first, b);
      last = std::max(last, b);
    }
  }
  if (first > last) return {};
  Table table({"below", "wait", "run", "wake-up", "IPI"});
  for (size_t b = first; b <= last; ++b) {
    std::vector<std::string> row{human_time(Nanos{int64_t{1} << b})};
    for (const Latencies* column : columns) row.push_back(grouped(column->histogram()[b]));
    table.add(std::move(row));
  }
  return "\n" + table.text();
}

std::string preemption_table(const Trace& trace, const TraceStats& stats) {
  if (stats.preempted.empty()) return {};
  const size_t vms = std::min(trace.vms.size(), kMostVms);
  std::vector<std::string> titles{"<cut short by"};
  for (size_t vm = 0; vm < vms; ++vm) titles.push_back(fmt::format("VM {}", vm));
  Table table(titles);
  for (size_t who = 0; who < vms; ++who) {
    std::vector<std::string> row{fmt::format("VM {} ({})", who, trace.vms[who].guest)};
    for (size_t whose = 0; whose < vms; ++whose) {
      const auto at = stats.preempted.find({who, whose});
      row.push_back(at == stats.preempted.end() ? "-" : grouped(at->second));
    }
    table.add(std::move(row));
  }
  return "\nWho preempted whom (columns: whose turn was cut short)\n" + table.text() + vms_left(trace);
}

std::string yield_table(const TraceStats& stats) {
  if (stats.yields.empty()) return {};
  Table table({"<yield to", "failed", "here", "there", "pulled", "hit", "miss", "harmful"});
  for (const auto& [reason, count] : stats.yields) {
    std::vector<std::string> row{why_of({.kind = sched::TraceKind::kYield, .why = reason})};
    for (const uint64_t n : count.how) row.push_back(grouped(n));
    for (const uint64_t n : count.outcome) row.push_back(grouped(n));
    table.add(std::move(row));
  }
  return "\nDirected yields\n" + table.text();
}

template <class Map, class Count>
std::vector<typename Map::const_iterator> largest(const Map& map, Count count) {
  std::vector<typename Map::const_iterator> order;
  for (auto at = map.begin(); at != map.end(); ++at) order.push_back(at);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return count(a->second) > count(b->second); });
  if (order.size() > kMostPairs) order.resize(kMostPairs);
  return order;
}

std::string rest_of(size_t all) {
  return all > kMostPairs ? fmt::format("and {} more (--json has all)\n", all - kMostPairs) : "";
}

std::string wake_table(const Trace& trace, const TraceStats& stats) {
  if (stats.wakers.empty() && stats.other_wakeups == 0) return {};
  std::string text = fmt::format("\nWake-ups: {} by timers and devices", grouped(stats.other_wakeups));
  for (const auto& [depth, count] : stats.wake_chains)
    text += fmt::format("; {} by IPI at depth {}", grouped(count), depth);
  text += "\n";
  if (stats.wakers.empty()) return text;
  Table table({"<waker", "<woken", "wake-ups", "p50 until it runs", "p99", "largest"});
  for (const auto& at : largest(stats.wakers, [](const Latencies& l) { return l.count(); })) {
    const Latencies& l = at->second;
    table.add({trace.name_of(at->first.first), trace.name_of(at->first.second), grouped(uint64_t{l.count()}),
               time_of(l, 0.5), time_of(l, 0.99), time_of(l, 1.0)});
  }
  return text + table.text() + rest_of(stats.wakers.size());
}

std::string fanout_table(const TraceStats& stats) {
  Table table({"receivers", "IPIs acknowledged by all", "p50 until the last", "p99", "largest"});
  for (const auto& [receivers, l] : stats.fanouts) {
    table.add({std::to_string(receivers), grouped(uint64_t{l.count()}), time_of(l, 0.5), time_of(l, 0.99),
               time_of(l, 1.0)});
  }
  return table.text();
}

std::string ipi_tables(const Trace& trace, const TraceStats& stats) {
  if (stats.ipis.empty()) return {};
  Table table(
      {"<sender", "<receiver", "IPIs", "p50 until injected", "p99", "p50 until EOI", "p99", "unfinished"});
  const auto sent = [](const IpiPair& pair) { return pair.handling.count() + pair.unfinished; };
  for (const auto& at : largest(stats.ipis, sent)) {
    const IpiPair& pair = at->second;
    table.add({trace.name_of(at->first.first), trace.name_of(at->first.second), grouped(uint64_t{sent(pair)}),
               time_of(pair.injection, 0.5), time_of(pair.injection, 0.99), time_of(pair.handling, 0.5),
               time_of(pair.handling, 0.99), grouped(pair.unfinished)});
  }
  std::string chains = "Chains:";
  for (const auto& [depth, count] : stats.ipi_chains) {
    chains += fmt::format(" {} {}", grouped(count),
                          depth == 0 ? "sent outside of handlers" : fmt::format("at depth {}", depth));
    chains += &depth == &stats.ipi_chains.rbegin()->first ? "\n" : ",";
  }
  return "\nWho waits for whom: IPIs\n" + table.text() + rest_of(stats.ipis.size()) + "\n" +
         fanout_table(stats) + chains;
}

std::string site_table(const Trace& trace, const TraceStats& stats) {
  Table table({"<VM", "samples", "<found busy-waiting in"});
  bool any = false;
  for (size_t i = 0; i < std::min(trace.vms.size(), kMostVms); ++i) {
    const std::string words = site_words(stats.spin_sites[i]);
    if (words.empty()) continue;
    any = true;
    table.add({fmt::format("{} {}", i, trace.vms[i].guest), grouped(samples_of(stats.spin_sites[i])), words});
  }
  return any ? "\nWhere vCPUs spin\n" + table.text() + vms_left(trace) : std::string{};
}

}  // namespace

std::string stats_text(const Trace& trace, const TraceStats& stats) {
  const double seconds = static_cast<double>(stats.to - stats.from) / 1e9;
  std::string text = fmt::format("{} events in {:.3f} s", grouped(stats.events), seconds);
  if (!trace.run.empty()) text += " of " + trace.run;
  text += "\n\n" + latency_table(trace, stats) + histogram_table(stats) + preemption_table(trace, stats);
  return text + yield_table(stats) + site_table(trace, stats) + wake_table(trace, stats) + ipi_tables(trace, stats);
}

}  // namespace vmm
