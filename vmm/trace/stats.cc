#include "vmm/trace/stats.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "vmm/trace/ipis.h"
#include "vmm/trace/spans.h"
#include "vmm/trace/timeline.h"

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceKind;
using State = VcpuSpan::State;

// What is found by going through the events once: preemptions, wake-ups, yields.
class Walk {
 public:
  Walk(const Trace& trace, TraceStats& stats)
      : trace_(trace), stats_(stats), vcpus_(trace.vcpus()), cut_short_(trace.workers) {}

  void take(const TraceEvent& event) {
    ++stats_.kinds[event.kind];
    if (event.vcpu >= vcpus_.size()) return;
    Vcpu& vcpu = vcpus_[event.vcpu];
    switch (event.kind) {
      case TraceKind::kIn:
        return come(event);
      case TraceKind::kOut:
        return leave(event);
      case TraceKind::kIpiSend:
        if (event.other < vcpus_.size()) vcpus_[event.other].rung_by = event.vcpu;
        return;
      case TraceKind::kInject:
        vcpu.rung_by.reset();
        return;
      case TraceKind::kWake:
        return wake(event);
      case TraceKind::kYield:
        ++count(stats_.yields[event.why].how, event.value);
        vcpu.yield_reason.reset();
        if (event.value != static_cast<uint64_t>(sched::TraceYield::kFailed)) vcpu.yield_reason = event.why;
        return;
      case TraceKind::kOutcome:
        if (vcpu.yield_reason) ++count(stats_.yields[*vcpu.yield_reason].outcome, event.why);
        vcpu.yield_reason.reset();
        return;
      default:
        return;
    }
  }

 private:
  struct Vcpu {
    std::optional<uint32_t> rung_by;  // the last IPI that it has not taken
    std::optional<int64_t> woken_at;
    std::optional<uint32_t> woken_by;
    uint32_t depth = 0;  // of the chain that its present activity is in
    std::optional<uint8_t> yield_reason;
  };

  // A damaged file may say anything.
  template <size_t N>
  static uint64_t& count(std::array<uint64_t, N>& counts, uint64_t index) {
    return counts[std::min<uint64_t>(index, N - 1)];
  }

  void come(const TraceEvent& event) {
    Vcpu& vcpu = vcpus_[event.vcpu];
    if (event.worker < cut_short_.size()) {
      const auto before = std::exchange(cut_short_[event.worker], std::nullopt);
      if (before && *before != event.vcpu) {
        ++stats_.preempted[{trace_.vm_of(event.vcpu), trace_.vm_of(*before)}];
      }
    }
    if (!vcpu.woken_at) return;
    const int64_t took = event.at - *vcpu.woken_at;
    stats_.all.wakeup.add(took);
    stats_.vms[trace_.vm_of(event.vcpu)].wakeup.add(took);
    if (vcpu.woken_by) stats_.wakers[{*vcpu.woken_by, event.vcpu}].add(took);
    vcpu.woken_at.reset();
  }

  void leave(const TraceEvent& event) {
    const auto why = static_cast<sched::TraceOut>(event.why);
    if (why == sched::TraceOut::kHalted) vcpus_[event.vcpu].depth = 0;
    if (event.worker >= cut_short_.size()) return;
    cut_short_[event.worker].reset();
    if (why == sched::TraceOut::kPreempted) cut_short_[event.worker] = event.vcpu;
  }

  void wake(const TraceEvent& event) {
    Vcpu& vcpu = vcpus_[event.vcpu];
    vcpu.woken_at = event.at;
    vcpu.woken_by = vcpu.rung_by;
    vcpu.depth = 0;
    if (!vcpu.rung_by) {
      ++stats_.other_wakeups;
      return;
    }
    vcpu.depth = vcpus_[*vcpu.rung_by].depth + 1;
    ++stats_.wake_chains[vcpu.depth];
  }

  const Trace& trace_;
  TraceStats& stats_;
  std::vector<Vcpu> vcpus_;
  std::vector<std::optional<uint32_t>> cut_short_;  // by worker: who was preempted there, until who comes
};

void add_spans(const Trace& trace, TraceStats& stats) {
  const TraceSpans spans = spans_of(trace, stats.from, stats.to);
  for (const VcpuSpan& span : spans.vcpus) {
    const int64_t length = span.to - span.from;
    if (span.state == State::kRuns) stats.running[span.vcpu] += length;
    // What the cut shortened says nothing of how long it took.
    if (span.cut || span.from == stats.from || span.state == State::kHalted) continue;
    const auto of = span.state == State::kRuns ? &TraceLatencies::run : &TraceLatencies::wait;
    (stats.all.*of).add(length);
    (stats.vms[trace.vm_of(span.vcpu)].*of).add(length);
  }
}

void add_ipis(const Trace& trace, TraceStats& stats) {
  const std::vector<IpiWay> ways = ipi_ways(trace, stats.from, stats.to);
  for (size_t i = 0; i < ways.size(); ++i) {
    const IpiWay& way = ways[i];
    ++stats.ipi_chains[way.depth];
    IpiPair& pair = stats.ipis[{way.sender, way.receiver}];
    TraceLatencies& vm = stats.vms[trace.vm_of(way.sender)];
    const auto add = [&](Latencies TraceLatencies::*of, int64_t took) {
      (stats.all.*of).add(took);
      (vm.*of).add(took);
    };
    if (way.injected) {
      add(&TraceLatencies::injection, *way.injected - way.sent);
      pair.injection.add(*way.injected - way.sent);
    }
    if (way.acknowledged) {
      add(&TraceLatencies::handling, *way.acknowledged - *way.injected);
      add(&TraceLatencies::ipi, *way.acknowledged - way.sent);
      pair.handling.add(*way.acknowledged - *way.injected);
    } else {
      ++pair.unfinished;
    }
  }
  // The receivers of one write stand together.
  for (size_t i = 0; i < ways.size(); i += ways[i].fanout) {
    int64_t last = 0;
    bool all = true;
    for (size_t k = i; k < i + ways[i].fanout; ++k) {
      all = all && ways[k].acknowledged;
      last = std::max(last, ways[k].acknowledged.value_or(0));
    }
    Latencies& fanout = stats.fanouts[ways[i].fanout];
    if (all) fanout.add(last - ways[i].sent);
  }
}

// What the cut shortened says nothing of how long it took.
void add_marks(const Trace& trace, TraceStats& stats) {
  for (const GuestStretch& stretch : timeline_of(trace, stats.from, stats.to).guests) {
    if (stretch.from == stats.from || stretch.to == stats.to) continue;
    const bool holds = stretch.kind == GuestStretch::Kind::kHolds;
    const auto of = holds ? &TraceLatencies::holds : &TraceLatencies::busy_waits;
    (stats.all.*of).add(stretch.to - stretch.from);
    (stats.vms[trace.vm_of(stretch.vcpu)].*of).add(stretch.to - stretch.from);
  }
}

// Of those spin exits of which the trace says where.
void add_sites(const Trace& trace, TraceStats& stats) {
  std::vector<std::map<uint64_t, CodeSite>> sites(trace.vms.size());
  for (const TraceEvent& event : trace.events) {
    if (event.at < stats.from || event.at >= stats.to || event.kind != TraceKind::kSpin || event.value == 0) continue;
    const size_t vm = trace.vm_of(event.vcpu);
    if (vm >= sites.size()) continue;
    const TraceFunction* const function = trace.vms[vm].function_at(event.value);
    CodeSite site{.symbol = {}, .address = event.value, .bytes = 1, .samples = 0};
    if (function != nullptr) site = {.symbol = function->name, .address = function->address, .bytes = function->bytes, .samples = 0};
    ++sites[vm].try_emplace(site.address, std::move(site)).first->second.samples;
  }
  for (size_t vm = 0; vm < sites.size(); ++vm) {
    auto& sorted = stats.spin_sites[vm].sites;
    for (auto& [address, site] : sites[vm]) sorted.push_back(std::move(site));
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const CodeSite& a, const CodeSite& b) { return a.samples > b.samples; });
  }
}

void finish(TraceLatencies& latencies) {
  for (Latencies* each :
       {&latencies.wait, &latencies.run, &latencies.wakeup, &latencies.ipi, &latencies.injection,
        &latencies.handling, &latencies.holds, &latencies.busy_waits}) {
    each->finish();
  }
}

}  // namespace

void Latencies::finish() {
  std::sort(values_.begin(), values_.end());
  for (const int64_t value : values_) {
    sum_ = static_cast<int64_t>(static_cast<uint64_t>(sum_) + static_cast<uint64_t>(value));
    const auto bucket =
        static_cast<size_t>(std::bit_width(static_cast<uint64_t>(std::max<int64_t>(0, value))));
    ++histogram_[std::min(bucket, kBuckets - 1)];
  }
}

int64_t Latencies::quantile(double share) const {
  if (values_.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(values_.size()));
  const size_t index = rank < 1 ? 0 : static_cast<size_t>(rank) - 1;
  return values_[std::min(index, values_.size() - 1)];
}

TraceStats stats_of(const Trace& trace, int64_t from, int64_t to) {
  TraceStats stats;
  stats.from = from;
  stats.to = to;
  const size_t vms = trace.vms.size();
  stats.vms.resize(vms);
  stats.spin_sites.resize(vms);
  stats.running.resize(trace.vcpus());
  Walk walk(trace, stats);
  for (const TraceEvent& event : trace.events) {
    if (event.at < from) continue;
    if (event.at >= to) break;
    ++stats.events;
    walk.take(event);
  }
  add_spans(trace, stats);
  add_ipis(trace, stats);
  add_marks(trace, stats);
  add_sites(trace, stats);
  finish(stats.all);
  for (TraceLatencies& vm : stats.vms) finish(vm);
  for (auto& [pair, latencies] : stats.wakers) latencies.finish();
  for (auto& [receivers, latencies] : stats.fanouts) latencies.finish();
  for (auto& [pair, ipis] : stats.ipis) {
    ipis.injection.finish();
    ipis.handling.finish();
  }
  return stats;
}

}  // namespace vmm
