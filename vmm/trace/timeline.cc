#include "vmm/trace/timeline.h"

#include <algorithm>
#include <optional>

namespace vmm {
namespace {

using sched::TraceEvent;
using sched::TraceKind;
using sched::TraceMark;

class Builder {
 public:
  Builder(const Trace& trace, int64_t from, int64_t to)
      : from_(from),
        to_(to),
        on_(trace.vcpus()),
        waits_(trace.vcpus()),
        holds_(trace.vcpus()),
        donated_(trace.vcpus()) {}

  void take(const TraceEvent& event) {
    switch (event.kind) {
      case TraceKind::kIn:
        on_[event.vcpu] = {event.at, event.worker};
        break;
      case TraceKind::kOut:
        leave(event.vcpu, event.at, static_cast<sched::TraceOut>(event.why));
        break;
      case TraceKind::kDonate:
        if (event.other < donated_.size()) donated_[event.other] = true;
        break;
      case TraceKind::kYield:
        if (event.at >= from_ && static_cast<sched::TraceYield>(event.value) != sched::TraceYield::kFailed) {
          result_.yields.push_back({event.vcpu, event.other, event.worker, event.at, false});
        }
        break;
      case TraceKind::kMark:
        mark(event);
        break;
      case TraceKind::kLost:  // marks of this vCPU: whatever it was in may be over
        waits_[event.vcpu].reset();
        holds_[event.vcpu].reset();
        break;
      default:
        break;
    }
  }

  Timeline finish() {
    for (uint32_t vcpu = 0; vcpu < on_.size(); ++vcpu) {
      leave(vcpu, to_, sched::TraceOut::kPreempted);
      end(waits_[vcpu], vcpu, GuestStretch::Kind::kWaits, to_);
      end(holds_[vcpu], vcpu, GuestStretch::Kind::kHolds, to_);
    }
    const auto by_start = [](const auto& a, const auto& b) { return a.from < b.from; };
    std::stable_sort(result_.stays.begin(), result_.stays.end(), by_start);
    std::stable_sort(result_.guests.begin(), result_.guests.end(), by_start);
    return std::move(result_);
  }

 private:
  struct On {
    int64_t since = 0;
    uint32_t worker = sched::kNoOne;
  };

  void leave(uint32_t vcpu, int64_t at, sched::TraceOut why) {
    On& on = on_[vcpu];
    if (on.worker != sched::kNoOne && at > from_) {
      result_.stays.push_back({vcpu, on.worker, std::max(from_, on.since), at, why, donated_[vcpu]});
    }
    if (on.worker != sched::kNoOne) donated_[vcpu] = false;
    on = {};
  }

  void mark(const TraceEvent& event) {
    switch (static_cast<TraceMark>(event.why)) {
      case TraceMark::kWaits:
        waits_[event.vcpu] = event.at;
        break;
      case TraceMark::kWaitOver:
        end(waits_[event.vcpu], event.vcpu, GuestStretch::Kind::kWaits, event.at);
        break;
      case TraceMark::kTakesLock:
        holds_[event.vcpu] = event.at;
        break;
      case TraceMark::kReleasesLock:
        end(holds_[event.vcpu], event.vcpu, GuestStretch::Kind::kHolds, event.at);
        break;
      default:
        break;
    }
  }

  void end(std::optional<int64_t>& since, uint32_t vcpu, GuestStretch::Kind kind, int64_t at) {
    if (since && at > from_) result_.guests.push_back({vcpu, kind, std::max(from_, *since), at});
    since.reset();
  }

  const int64_t from_;
  const int64_t to_;
  std::vector<On> on_;
  std::vector<std::optional<int64_t>> waits_;
  std::vector<std::optional<int64_t>> holds_;
  std::vector<bool> donated_;
  Timeline result_;
};

}  // namespace

Timeline timeline_of(const Trace& trace, int64_t from, int64_t to) {
  Builder builder(trace, from, to);
  for (const TraceEvent& event : trace.events) {
    if (event.at >= to) break;
    if (event.vcpu < trace.vcpus()) builder.take(event);
  }
  return builder.finish();
}

}  // namespace vmm
