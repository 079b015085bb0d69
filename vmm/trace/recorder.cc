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
}

void TraceRecorder::attach(uint32_t thread) {
  if (thread + 1 < rings_.size()) attached = {this, rings_[thread].get()};
}

void TraceRecorder::detach() { attached = {}; }

void TraceRecorder::record(const sched::TraceEvent& event) {
  if (attached.recorder == this) return attached.ring->push(event);
  const std::lock_guard lock(others_);
  rings_.back()->push(event);
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
