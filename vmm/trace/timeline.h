// What a trace says as stretches of time: who was on which worker from when to when, and what it did there.
// Pure, any thread.
#pragma once

#include <vector>

#include "vmm/trace/trace_file.h"

namespace vmm {

// A vCPU's stay on a worker.
struct Stay {
  uint32_t vcpu = 0;
  uint32_t worker = 0;
  int64_t from = 0;
  int64_t to = 0;
  sched::TraceOut why{};  // it left
  bool donated = false;   // its turn was given to it
};

// A vCPU waits for a lock or an acknowledgement, or holds a lock, by its own word; on a worker or not.
struct GuestStretch {
  enum class Kind : uint8_t { kWaits, kHolds };
  uint32_t vcpu = 0;
  Kind kind{};
  int64_t from = 0;
  int64_t to = 0;
};

struct TimelineYield {
  uint32_t from = 0;
  uint32_t to = 0;
  uint32_t worker = 0;
  int64_t at = 0;
  bool donates = false;
};

struct Timeline {
  std::vector<Stay> stays;            // by start
  std::vector<GuestStretch> guests;   // by start
  std::vector<TimelineYield> yields;  // those that were done
};

// Between two instants of the trace's clock; stretches that cross them are cut there.
Timeline timeline_of(const Trace& trace, int64_t from, int64_t to);

}  // namespace vmm
