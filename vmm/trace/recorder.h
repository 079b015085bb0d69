// The trace of a run in memory: a ring for each worker, and one for all other threads.
//
// Made before the run, read after it (or during it, by copies). record() may be called by any thread; a
// thread that has called attach() writes into its own ring without a lock.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "vmm/trace/ring.h"

namespace vmm {

class TraceRecorder final : public sched::TraceSink {
 public:
  // Events a ring: the power of two at or above `events`.
  TraceRecorder(uint32_t workers, size_t events);

  // This thread's events go to this worker's ring from now on, until detach(). At most one thread a worker.
  void attach(uint32_t worker);
  static void detach();

  void record(const sched::TraceEvent& event) override;

  struct Content {
    std::vector<sched::TraceEvent> events;  // in order of time
    uint64_t lost = 0;                      // older ones that were overwritten
  };
  Content content() const;

 private:
  std::vector<std::unique_ptr<TraceRing>> rings_;  // by worker; the last: everybody else's
  mutable std::mutex others_;                      // of the last ring's writers
};

}  // namespace vmm
