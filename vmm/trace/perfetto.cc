#include "vmm/trace/perfetto.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "vmm/trace/dump.h"
#include "vmm/trace/ipis.h"
#include "vmm/trace/perfetto_writer.h"
#include "vmm/trace/spans.h"
#include "vmm/trace/timeline.h"

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceKind;
using State = VcpuSpan::State;
using Note = PerfettoWriter::Note;

// Track ids: what it is above, whose below.
enum class Of : uint64_t { kWorkers = 1, kWorker, kQueue, kStolen, kVm, kVcpu, kLock, kWait, kLag };
uint64_t track_of(Of what, uint64_t whose = 0) { return static_cast<uint64_t>(what) << 32 | whose; }

constexpr int32_t kWorkersPid = 1;
constexpr int32_t kFirstVmPid = 2;
constexpr int32_t kFirstWorkerTid = 1'000'000;
constexpr int32_t kFirstVcpuTid = 2'000'000;

// Flow ids of yields stand above those of IPIs.
constexpr uint64_t kFirstYield = uint64_t{1} << 40;

class Exporter {
 public:
  Exporter(const Trace& trace, int64_t from, int64_t to)
      : trace_(trace), from_(from), to_(to), vcpus_(trace.vcpus()), stolen_(trace.workers) {}

  std::string run() {
    describe_tracks();
    follow_ipis();
    const TraceSpans spans = spans_of(trace_, from_, to_);
    follow_yields(spans);
    add_spans(spans);
    add_marks();
    for (size_t i = 0; i < trace_.events.size() && trace_.events[i].at < to_; ++i) {
      if (trace_.events[i].at >= from_) add_event(trace_.events[i], i);
    }
    return writer_.finish(from_);
  }

 private:
  void describe_tracks() {
    writer_.process(
        track_of(Of::kWorkers), kWorkersPid,
        fmt::format("workers ({}{}{})", trace_.backend, trace_.run.empty() ? "" : ", ", trace_.run));
    for (uint32_t w = 0; w < trace_.workers; ++w) {
      const uint64_t worker = track_of(Of::kWorker, w);
      writer_.thread(worker, kWorkersPid, kFirstWorkerTid + static_cast<int32_t>(w),
                     fmt::format("worker {}", w));
      writer_.counter_track(track_of(Of::kQueue, w), worker, fmt::format("runnable on worker {}", w),
                            PerfettoWriter::Unit::kCount);
      writer_.counter_track(track_of(Of::kStolen, w), worker, fmt::format("stolen from worker {}", w),
                            PerfettoWriter::Unit::kTimeNs);
    }
    uint32_t vcpu = 0;
    for (size_t vm = 0; vm < trace_.vms.size(); ++vm) {
      const auto pid = kFirstVmPid + static_cast<int32_t>(vm);
      writer_.process(track_of(Of::kVm, vm), pid,
                      fmt::format("VM {} ({}, {})", vm, trace_.vms[vm].guest, trace_.vms[vm].policy));
      for (uint32_t i = 0; i < trace_.vms[vm].vcpus; ++i, ++vcpu) describe_vcpu(pid, vcpu);
    }
  }

  void describe_vcpu(int32_t pid, uint32_t vcpu) {
    const uint64_t track = track_of(Of::kVcpu, vcpu);
    const std::string name = trace_.name_of(vcpu);
    writer_.thread(track, pid, kFirstVcpuTid + static_cast<int32_t>(vcpu), fmt::format("vCPU {}", name));
    writer_.track(track_of(Of::kLock, vcpu), track, fmt::format("vCPU {} owns a lock", name));
    writer_.track(track_of(Of::kWait, vcpu), track, fmt::format("vCPU {} waits in the guest", name));
    writer_.counter_track(track_of(Of::kLag, vcpu), track, fmt::format("lag of vCPU {}", name),
                          PerfettoWriter::Unit::kTimeNs);
  }

  // Only ways that can be seen to their end.
  void follow_ipis() {
    const std::vector<IpiWay> ways = ipi_ways(trace_, from_, to_);
    for (size_t i = 0; i < ways.size(); ++i) {
      if (!ways[i].acknowledged) continue;
      flows_[ways[i].sent_at].push_back(i + 1);
      flows_[ways[i].injected_at].push_back(i + 1);
      ends_[ways[i].acknowledged_at].push_back(i + 1);
    }
  }

  // From the yield to the target's next turn, if that comes before the next yield to it.
  void follow_yields(const TraceSpans& spans) {
    std::vector<std::vector<size_t>> turns(vcpus_);
    for (size_t i = 0; i < spans.vcpus.size(); ++i) {
      const VcpuSpan& span = spans.vcpus[i];
      if (span.state == State::kRuns) turns[span.vcpu].push_back(i);
    }
    std::vector<size_t> next(vcpus_);
    for (size_t i = 0; i < trace_.events.size() && trace_.events[i].at < to_; ++i) {
      const TraceEvent& event = trace_.events[i];
      const bool done = event.kind == TraceKind::kYield && event.at >= from_ && event.vcpu < vcpus_ &&
                        event.other < vcpus_ &&
                        event.value != static_cast<uint64_t>(sched::TraceYield::kFailed);
      if (!done) continue;
      auto& at = next[event.other];
      const auto& of_target = turns[event.other];
      while (at < of_target.size() && spans.vcpus[of_target[at]].from < event.at) ++at;
      if (at == of_target.size()) continue;
      const uint64_t flow = kFirstYield + i;
      if (!yield_ends_.emplace(of_target[at], flow).second) continue;
      flows_[i].push_back(flow);
    }
  }

  void add_spans(const TraceSpans& spans) {
    for (size_t i = 0; i < spans.vcpus.size(); ++i) {
      const VcpuSpan& span = spans.vcpus[i];
      const uint64_t vcpu = track_of(Of::kVcpu, span.vcpu);
      if (span.state == State::kHalted) {
        writer_.slice(vcpu, span.from, span.to, 0, "halted");
      } else if (span.state == State::kWaits) {
        writer_.slice(vcpu, span.from, span.to, 0, span.woken ? "waits, woken" : "waits");
      } else {
        add_turn(span, i);
      }
    }
    for (const GuestSpan& span : spans.guests) {
      const uint8_t depth = span.worker == sched::kNoOne ? 0 : 1;
      std::vector<Note> notes;
      if (!span.cut) {
        notes.push_back({"exit", why_of({.kind = TraceKind::kExit, .why = static_cast<uint8_t>(span.why)})});
      }
      writer_.slice(track_of(Of::kVcpu, span.vcpu), span.from, span.to, depth, "guest", notes);
    }
  }

  void add_turn(const VcpuSpan& span, size_t place) {
    std::vector<Note> notes;
    if (!span.cut) {
      notes.push_back({"left", why_of({.kind = TraceKind::kOut, .why = static_cast<uint8_t>(span.why)})});
    }
    const auto flow = yield_ends_.find(place);
    writer_.slice(track_of(Of::kVcpu, span.vcpu), span.from, span.to, 0,
                  fmt::format("runs on worker {}", span.worker), notes,
                  flow == yield_ends_.end() ? 0 : flow->second);
    writer_.slice(track_of(Of::kWorker, span.worker), span.from, span.to, 0,
                  fmt::format("vCPU {}", trace_.name_of(span.vcpu)), notes);
  }

  void add_marks() {
    for (const GuestStretch& stretch : timeline_of(trace_, from_, to_).guests) {
      const bool holds = stretch.kind == GuestStretch::Kind::kHolds;
      writer_.slice(track_of(holds ? Of::kLock : Of::kWait, stretch.vcpu), stretch.from, stretch.to, 0,
                    holds ? "owns the lock" : "waits in the guest");
    }
  }

  void add_event(const TraceEvent& event, size_t place) {
    switch (event.kind) {
      case TraceKind::kQueue:
        if (event.worker < trace_.workers)
          writer_.counter(track_of(Of::kQueue, event.worker), event.at, static_cast<int64_t>(event.value));
        return;
      case TraceKind::kLag:
        if (event.vcpu < vcpus_)
          writer_.counter(track_of(Of::kLag, event.vcpu), event.at, static_cast<int64_t>(event.value));
        return;
      case TraceKind::kStolen:
        if (event.worker >= trace_.workers) return;
        stolen_[event.worker] += event.value;
        return writer_.counter(track_of(Of::kStolen, event.worker), event.at,
                               static_cast<int64_t>(stolen_[event.worker]));
      case TraceKind::kIn:  // slices
      case TraceKind::kOut:
      case TraceKind::kEnter:
      case TraceKind::kExit:
      case TraceKind::kMark:
      case TraceKind::kLost:
        return;
      default:
        return add_instant(event, place);
    }
  }

  // On the track of whom it is about: the vCPU, else the worker.
  void add_instant(const TraceEvent& event, size_t place) {
    const bool of_worker = event.kind == TraceKind::kKick || event.vcpu >= vcpus_;
    if (of_worker && event.worker >= trace_.workers) return;
    const uint64_t track = of_worker ? track_of(Of::kWorker, event.worker) : track_of(Of::kVcpu, event.vcpu);
    std::string name{name_of(event.kind)};
    if (event.other < vcpus_) name += fmt::format(" to {}", trace_.name_of(event.other));
    std::vector<Note> notes;
    if (const std::string why = why_of(event); !why.empty()) notes.push_back({"why", why});
    if (const std::string value = value_of(trace_, event); !value.empty()) notes.push_back({"value", value});
    const bool early = event.kind == TraceKind::kYield || event.kind == TraceKind::kSpin;
    writer_.instant(track, event.at, name, notes, {found(flows_, place), found(ends_, place)}, early);
  }

  using Flows = std::unordered_map<size_t, std::vector<uint64_t>>;  // by the event's place
  static std::vector<uint64_t> found(const Flows& flows, size_t place) {
    const auto at = flows.find(place);
    return at == flows.end() ? std::vector<uint64_t>{} : at->second;
  }

  const Trace& trace_;
  const int64_t from_;
  const int64_t to_;
  const uint32_t vcpus_;
  PerfettoWriter writer_;
  Flows flows_;
  Flows ends_;
  std::unordered_map<size_t, uint64_t> yield_ends_;  // by the place of the target's turn
  std::vector<uint64_t> stolen_;                     // by worker, so far
};

}  // namespace

std::string perfetto_trace(const Trace& trace, int64_t from, int64_t to) {
  return Exporter(trace, from, to).run();
}

}  // namespace vmm
