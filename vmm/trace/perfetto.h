// A trace in Perfetto's native format, for ui.perfetto.dev and trace_processor: a track a worker and a track
// a vCPU, slices that nest, flows from an IPI's sending to its injection and acknowledgement and from a
// directed yield to the target's next turn, counters. Pure, any thread.
//
// Field numbers: perfetto's protos/perfetto/trace/ (docs/trace.md lists those that are used).
#pragma once

#include <string>

#include "vmm/trace/trace_file.h"

namespace vmm {

// Between two instants of the trace's clock. A slice that crosses them is cut there; a flow of which a part
// lies outside is left out.
std::string perfetto_trace(const Trace& trace, int64_t from, int64_t to);

}  // namespace vmm
