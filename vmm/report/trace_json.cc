// What the page draws of a trace.
#include <array>
#include <cmath>
#include <optional>

#include "vmm/report/report.h"
#include "vmm/stats/detail.h"
#include "vmm/trace/dump.h"
#include "vmm/trace/ipi_graph.h"
#include "vmm/trace/ipis.h"
#include "vmm/trace/stats.h"
#include "vmm/trace/timeline.h"

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceKind;

// More than this a page does not draw fluently; the stretch is cut and says so.
constexpr size_t kMostDrawn = 30'000;
constexpr size_t kCurvePoints = 200;

// Percentiles, and a curve whose points lie closer together near 1.
Json distribution(const Latencies& latencies) {
  if (latencies.count() == 0) return nullptr;
  Json json{{"count", latencies.count()},
            {"p50_ns", latencies.quantile(0.5)},
            {"p90_ns", latencies.quantile(0.9)},
            {"p99_ns", latencies.quantile(0.99)},
            {"p999_ns", latencies.quantile(0.999)}};
  Json& points = json["cdf"] = Json::array();
  for (size_t i = 0; i <= kCurvePoints; ++i) {
    const double share = 1 - std::pow(10.0, -4.0 * static_cast<double>(i) / kCurvePoints);
    points.push_back({latencies.quantile(share), share});
  }
  return json;
}

Json outcomes_json(const TraceStats& stats) {
  Json json = Json::object();
  for (const auto& [reason, counts] : stats.yields) {
    const auto [failed, here, there, pulled] = counts.how;
    const auto [hits, misses, harmful] = counts.outcome;
    const uint64_t done = here + there + pulled;
    const uint64_t known = hits + misses + harmful;
    if (done == 0) continue;
    const std::string name{
        reason < sched::kYieldReasons ? yield_reason_name(static_cast<sched::YieldReason>(reason)) : "other"};
    json[name] = {{"hits", hits},
                  {"misses", misses},
                  {"harmful", harmful},
                  {"open", done > known ? done - known : 0},
                  {"failed", failed}};
  }
  return json;
}

// A row a VM that lost its turn, a column a VM that came.
Json preempted_json(const Trace& trace, const TraceStats& stats) {
  const size_t vms = trace.vms.size();
  std::vector<std::vector<uint64_t>> counts(vms, std::vector<uint64_t>(vms));
  for (const auto& [pair, count] : stats.preempted) {
    const auto [came, left] = pair;
    if (came < vms && left < vms) counts[left][came] += count;
  }
  return counts;
}

Json stays_json(const Timeline& timeline, int64_t zero) {
  Json json{{"stays", Json::array()}, {"guests", Json::array()}, {"yields", Json::array()}};
  for (const Stay& stay : timeline.stays) {
    json["stays"].push_back({stay.vcpu, stay.worker, stay.from - zero, stay.to - zero,
                             static_cast<int>(stay.why), stay.donated ? 1 : 0});
  }
  for (const GuestStretch& guest : timeline.guests) {
    json["guests"].push_back({guest.vcpu, static_cast<int>(guest.kind), guest.from - zero, guest.to - zero});
  }
  for (const TimelineYield& yield : timeline.yields) {
    json["yields"].push_back({yield.from, yield.to, yield.at - zero});
  }
  return json;
}

Json ipis_json(const Trace& trace, int64_t from, int64_t to) {
  Json list = Json::array();
  const int64_t zero = trace.window_begin;
  const auto instant = [zero](std::optional<int64_t> at) { return at ? Json(*at - zero) : Json(nullptr); };
  for (const IpiWay& way : ipi_ways(trace, from, to)) {
    if (list.size() >= kMostDrawn) break;
    list.push_back({way.sender, way.receiver, way.vector, way.sent - zero, instant(way.injected),
                    instant(way.acknowledged)});
  }
  return list;
}

// A row a pair, as the picture's labels say it.
Json ipi_pairs_json(const Trace& trace, const TraceStats& stats) {
  Json rows = Json::array();
  for (const auto& [who, pair] : stats.ipis) {
    rows.push_back({{"from", trace.name_of(who.first)},
                    {"to", trace.name_of(who.second)},
                    {"count", pair.handling.count() + pair.unfinished},
                    {"injection_p50_ns", pair.injection.quantile(0.5)},
                    {"injection_p99_ns", pair.injection.quantile(0.99)},
                    {"handling_p50_ns", pair.handling.quantile(0.5)},
                    {"handling_p99_ns", pair.handling.quantile(0.99)},
                    {"unfinished", pair.unfinished}});
  }
  return rows;
}

// The end of the stretch, earlier if it holds more than can be drawn.
int64_t cut(const Trace& trace, int64_t from, int64_t to) {
  size_t drawn = 0;
  for (const TraceEvent& event : trace.events) {
    if (event.at < from) continue;
    if (event.at >= to) break;
    const bool is_drawn = event.kind == TraceKind::kIn || event.kind == TraceKind::kMark;
    if (is_drawn && ++drawn > kMostDrawn) return event.at;
  }
  return to;
}

Json missing_kinds(const TraceStats& stats) {
  constexpr std::array kWanted{TraceKind::kIn,      TraceKind::kOut,  TraceKind::kIpiSend,
                               TraceKind::kInject,  TraceKind::kEoi,  TraceKind::kYield,
                               TraceKind::kOutcome, TraceKind::kWake, TraceKind::kMark};
  Json list = Json::array();
  for (const TraceKind kind : kWanted) {
    if (stats.kinds.count(kind) == 0) list.push_back(name_of(kind));
  }
  return list;
}

}  // namespace

Json trace_json(const NamedTrace& named, TraceStretch stretch) {
  const Trace& trace = named.trace;
  const TraceStats stats = stats_of(trace, trace.window_begin, trace.window_end);
  const int64_t zero = trace.window_begin;
  const int64_t from = zero + stretch.from_ns;
  const int64_t asked = stretch.length_ns > 0 ? from + stretch.length_ns : trace.window_end;
  const int64_t to = cut(trace, from, asked);
  Json json{{"name", named.name},
            {"backend", trace.backend},
            {"command", trace.command},
            {"run", trace.run},
            {"seed", trace.seed},
            {"workers", trace.workers},
            {"window_ns", trace.window_end - trace.window_begin},
            {"from_ns", from - zero},
            {"to_ns", to - zero},
            {"cut", to < asked},
            {"lost", trace.lost}};
  for (const TraceVm& vm : trace.vms) {
    json["vms"].push_back({{"guest", vm.guest}, {"policy", vm.policy}, {"vcpus", vm.vcpus}});
  }
  for (uint32_t vcpu = 0; vcpu < trace.vcpus(); ++vcpu) json["vcpus"].push_back(trace.name_of(vcpu));
  json["timeline"] = stays_json(timeline_of(trace, from, to), zero);
  json["timeline"]["ipis"] = ipis_json(trace, from, to);
  json["preempted"] = preempted_json(trace, stats);
  json["outcomes"] = outcomes_json(stats);
  json["wait"] = distribution(stats.all.wait);
  json["wakeup"] = distribution(stats.all.wakeup);
  json["ipi"] = distribution(stats.all.ipi);
  if (!stats.ipis.empty()) {
    const IpiGraph graph = ipi_graph(trace, stats, trace.vms.front().policy);
    json["ipi_graph"] = {{"svg", graph.svg}, {"words", graph.words}, {"pairs", ipi_pairs_json(trace, stats)}};
  }
  json["missing"] = missing_kinds(stats);
  return json;
}

}  // namespace vmm
