#include "vmm/trace/recorder.h"

#include <algorithm>
#include <bit>

namespace vmm {
namespace {

// The ring of this thread and whose it is: a recorder that is gone is never written to.
struct Attached {
  const TraceRecorder* recorder = nullptr;
  TraceRing* ring = nullptr;
};
thread_local Attached attached;

}  // namespace

TraceRecorder::TraceRecorder(uint32_t threads, size_t events) {
  for (uint32_t i = 0; i <= threads; ++i)
    rings_.push_back(std::make_unique<TraceRing>(std::bit_ceil(events)));
  drained_.resize(rings_.size());
}

void TraceRecorder::attach(uint32_t thread) {
  if (thread + 1 < rings_.size()) attached = {this, rings_[thread].get()};
}

void TraceRecorder::detach() { attached = {}; }

void TraceRecorder::record(const sched::TraceEvent& event) {
  if (attached.recorder == this) return attached.ring->push(event);
  // One place is always the next event's: who copies does not trust it.
  if (full_ && rings_.back()->pushed() - drained_.back() >= rings_.back()->capacity() - 1) full_();
  const std::lock_guard lock(others_);
  rings_.back()->push(event);
}

double TraceRecorder::drain(const Take& take) {
  double fullest = 0;
  std::vector<sched::TraceEvent> events;
  for (uint32_t i = 0; i < rings_.size(); ++i) {
    events.clear();
    uint64_t first = 0;
    {
      std::unique_lock<std::mutex> lock;
      if (i + 1 == rings_.size()) lock = std::unique_lock(others_);
      first = rings_[i]->copy(events, drained_[i]);
    }
    const uint64_t lost = first - drained_[i];
    drained_[i] = first + events.size();
    if (lost == 0 && events.empty()) continue;
    fullest = std::max(
        fullest, static_cast<double>(lost + events.size()) / static_cast<double>(rings_[i]->capacity()));
    take(i, lost, events);
  }
  return std::min(1.0, fullest);
}

TraceRecorder::Content TraceRecorder::content() const {
  Content content;
  for (const auto& ring : rings_) {
    std::unique_lock<std::mutex> lock;
    if (ring == rings_.back()) lock = std::unique_lock(others_);
    const size_t first = content.events.size();
    const uint64_t lost = ring->copy(content.events);
    content.lost += lost;
    if (lost > 0 && first < content.events.size()) {
      content.complete_from = std::max(content.complete_from, content.events[first].at);
    }
  }
  std::stable_sort(content.events.begin(), content.events.end(),
                   [](const auto& a, const auto& b) { return a.at < b.at; });
  return content;
}

}  // namespace vmm
