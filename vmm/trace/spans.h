// What a trace says of vCPUs as stretches of time that never overlap: runs, waits, is halted; and its entries
// into the guest within them. What export and statistics are made of. Pure, any thread.
//
// Two workers read the clock each for itself: one may have a vCPU come on some nanoseconds before the other
// has it leave. Then the earlier stretch ends where the later begins.
#pragma once

#include <vector>

#include "vmm/trace/trace_file.h"

namespace vmm {

struct VcpuSpan {
  enum class State : uint8_t { kRuns, kWaits, kHalted };
  uint32_t vcpu = 0;
  State state{};
  uint32_t worker = sched::kNoOne;  // it runs on, or waited on when it began
  int64_t from = 0;
  int64_t to = 0;
  sched::TraceOut why{};  // kRuns: it left, unless `cut`
  bool woken = false;     // kWaits: it began with a wake-up
  bool cut = false;       // it was going on when the trace or the part of it ended
};

// Between KVM_RUN's begin and return. On threads of the host's it lies in no VcpuSpan.
struct GuestSpan {
  uint32_t vcpu = 0;
  uint32_t worker = sched::kNoOne;
  int64_t from = 0;
  int64_t to = 0;
  sched::TraceExit why{};
  bool cut = false;
};

struct TraceSpans {
  std::vector<VcpuSpan> vcpus;  // by end; of each vCPU one after the other
  std::vector<GuestSpan> guests;
};

// Between two instants of the trace's clock; stretches that cross them are cut there. Empty ones are left
// out.
TraceSpans spans_of(const Trace& trace, int64_t from, int64_t to);

}  // namespace vmm
