// The way of each IPI through a trace: sent, injected, acknowledged. Pure, any thread.
//
// A LAPIC has one bit a vector: IPIs of the same vector that wait for the same receiver are injected and
// acknowledged together, and each of them is one way here.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "vmm/trace/trace_file.h"

namespace vmm {

struct IpiWay {
  uint32_t sender = 0;
  uint32_t receiver = 0;
  uint8_t vector = 0;
  uint32_t fanout = 1;  // receivers of the same write to the ICR
  uint32_t depth = 0;   // sent by a handler of an IPI of this depth − 1; 0: by what ran there
  int64_t sent = 0;
  std::optional<int64_t> injected;
  std::optional<int64_t> acknowledged;
  // Places in Trace::events.
  size_t sent_at = 0;
  size_t injected_at = 0;
  size_t acknowledged_at = 0;
};

// Those that were sent between two instants of the trace's clock, in order of their sending; what became of
// them until `to`.
std::vector<IpiWay> ipi_ways(const Trace& trace, int64_t from, int64_t to);

}  // namespace vmm
