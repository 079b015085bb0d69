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

TraceRecorder::TraceRecorder(uint32_t workers, size_t events) {
  for (uint32_t i = 0; i <= workers; ++i)
    rings_.push_back(std::make_unique<TraceRing>(std::bit_ceil(events)));
}

void TraceRecorder::attach(uint32_t worker) { attached = {this, rings_[worker].get()}; }

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
    content.lost += ring->copy(content.events);
  }
  std::stable_sort(content.events.begin(), content.events.end(),
                   [](const auto& a, const auto& b) { return a.at < b.at; });
  return content;
}

}  // namespace vmm
