// The trace of a run in memory: a ring for each worker (or thread that runs vCPUs), and one for all others.
//
// Made before the run, read after it (or during it, by copies). record() may be called by any thread; a
// thread that has called attach() writes into its own ring without a lock.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "vmm/trace/ring.h"

namespace vmm {

class TraceRecorder final : public sched::TraceSink {
 public:
  // Events a ring: the power of two at or above `events`. All memory is taken and touched now.
  TraceRecorder(uint32_t threads, size_t events);

  // This thread's events go to this ring from now on, until detach(). At most one thread a ring; one that has
  // no ring of its own is as good as not attached.
  void attach(uint32_t thread);
  static void detach();

  void record(const sched::TraceEvent& event) override;

  struct Content {
    std::vector<sched::TraceEvent> events;  // in order of time
    uint64_t lost = 0;                      // older ones that were overwritten
    // From here on no ring has lost any; before the first event if none has at all.
    int64_t complete_from = INT64_MIN;
  };
  Content content() const;

  // What has come in since the last call, ring by ring: its number, how many events were overwritten before
  // they could be taken, and those that were not. One thread at a time, while others record; content() has
  // them all the same.
  using Take = std::function<void(uint32_t ring, uint64_t lost, std::span<const sched::TraceEvent>)>;
  // The fullest ring's share of events that were waiting, 0 … 1.
  double drain(const Take& take);
  // For a run that is one thread which never attaches (the simulator): `full` is called before an event that
  // has not been drained would give way. Before the run.
  void when_full(std::function<void()> full) { full_ = std::move(full); }

 private:
  std::vector<std::unique_ptr<TraceRing>> rings_;  // by thread; the last: everybody else's
  mutable std::mutex others_;                      // of the last ring's writers
  std::vector<uint64_t> drained_;                  // by ring: the next event to take
  std::function<void()> full_;
};

}  // namespace vmm
