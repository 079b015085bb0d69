#include "vmm/trace/spans.h"

#include <algorithm>
#include <optional>

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceKind;
using sched::TraceOut;
using State = VcpuSpan::State;

class Builder {
 public:
  Builder(const Trace& trace, int64_t from, int64_t to)
      : from_(from), to_(to), known_from_(std::max(from, trace.complete_from)), now_(trace.vcpus()) {
    if (!trace.events.empty()) known_from_ = std::max(known_from_, trace.events.front().at);
  }

  void take(const TraceEvent& event) {
    switch (event.kind) {
      case TraceKind::kIn:
        begin(event, State::kRuns);
        break;
      case TraceKind::kOut:
        leave(event, static_cast<TraceOut>(event.why));
        break;
      case TraceKind::kWake:
        if (now_[event.vcpu].state != State::kRuns) begin(event, State::kWaits, true);
        break;
      case TraceKind::kEnter:
        now_[event.vcpu].entered = event.at;
        now_[event.vcpu].entered_on = worker_of(event);
        break;
      case TraceKind::kExit:
        end_guest(event.vcpu, event.at, static_cast<sched::TraceExit>(event.why), false);
        break;
      default:
        break;
    }
  }

  TraceSpans finish() {
    for (uint32_t vcpu = 0; vcpu < now_.size(); ++vcpu) {
      end_guest(vcpu, to_, sched::TraceExit::kOther, true);
      end(vcpu, to_, TraceOut::kPreempted, true);
    }
    return std::move(result_);
  }

 private:
  struct Now {
    std::optional<State> state;
    uint32_t worker = sched::kNoOne;
    int64_t since = 0;
    bool woken = false;
    bool seen = false;
    std::optional<int64_t> entered;
    uint32_t entered_on = sched::kNoOne;
  };

  static uint32_t worker_of(const TraceEvent& event) {
    return event.worker == sched::kNoTraceWorker ? sched::kNoOne : event.worker;
  }

  void begin(const TraceEvent& event, State state, bool woken = false) {
    end_guest(event.vcpu, event.at, sched::TraceExit::kOther, true);
    Now& now = now_[event.vcpu];
    // It ran elsewhere: why it left is still to be read.
    end(event.vcpu, event.at, TraceOut::kPreempted, now.state == State::kRuns);
    now.seen = true;
    now.state = state;
    now.worker = worker_of(event);
    now.since = event.at;
    now.woken = woken;
  }

  void leave(const TraceEvent& event, TraceOut why) {
    Now& now = now_[event.vcpu];
    if (!now.seen) {  // it came before what is known
      now.state = State::kRuns;
      now.worker = worker_of(event);
      now.since = known_from_;
    }
    if (now.state != State::kRuns || now.worker != worker_of(event)) return;  // it has come elsewhere since
    end_guest(event.vcpu, event.at, sched::TraceExit::kOther, true);
    end(event.vcpu, event.at, why, false);
    now.seen = true;
    if (why == TraceOut::kStopped) return;
    now.state = why == TraceOut::kHalted ? State::kHalted : State::kWaits;
    now.worker = worker_of(event);
    now.since = event.at;
    now.woken = false;
  }

  void end(uint32_t vcpu, int64_t at, TraceOut why, bool cut) {
    Now& now = now_[vcpu];
    const int64_t since = std::max(from_, now.since);
    if (now.state && at > since) {
      result_.vcpus.push_back({vcpu, *now.state, now.worker, since, at, why, now.woken, cut});
    }
    now.state.reset();
  }

  void end_guest(uint32_t vcpu, int64_t at, sched::TraceExit why, bool cut) {
    Now& now = now_[vcpu];
    if (now.entered && at > std::max(from_, *now.entered)) {
      result_.guests.push_back({vcpu, now.entered_on, std::max(from_, *now.entered), at, why, cut});
    }
    now.entered.reset();
  }

  const int64_t from_;
  const int64_t to_;
  int64_t known_from_;
  std::vector<Now> now_;
  TraceSpans result_;
};

}  // namespace

TraceSpans spans_of(const Trace& trace, int64_t from, int64_t to) {
  Builder builder(trace, from, to);
  for (const TraceEvent& event : trace.events) {
    if (event.at >= to) break;
    if (event.vcpu < trace.vcpus()) builder.take(event);
  }
  return builder.finish();
}

}  // namespace vmm
