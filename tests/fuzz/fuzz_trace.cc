// Trace files: arbitrary bytes are refused with a usage error, or read into runs that every reader of them
// takes.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "vmm/check.h"
#include "vmm/cli/trace_stats.h"
#include "vmm/trace/dump.h"
#include "vmm/trace/ipi_graph.h"
#include "vmm/trace/perfetto.h"
#include "vmm/trace/picture.h"
#include "vmm/trace/recorded_costs.h"
#include "vmm/trace/script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const auto traces = vmm::parse_traces(bytes, "input");
  if (!traces) {
    KVMUX_CHECK(traces.error().kind == vmm::ErrorKind::kUsage, "a bad file is the user's to fix");
    return 0;
  }
  for (const vmm::Trace& trace : *traces) {
    const int64_t from = trace.events.empty() ? 0 : trace.events.front().at;
    const int64_t to = trace.events.empty() ? 0 : trace.events.back().at + 1;
    const vmm::TraceStats stats = vmm::stats_of(trace, from, to);
    KVMUX_CHECK(stats.events == trace.events.size(), "every event counts");
    KVMUX_CHECK(!vmm::stats_text(trace, stats).empty(), "there is something to say");
    KVMUX_CHECK(vmm::stats_json(trace, stats).contains("latencies"), "there is something to say");
    KVMUX_CHECK(!vmm::perfetto_trace(trace, from, to).empty(), "a file has packets");
    const vmm::RecordedCosts costs = vmm::recorded_costs(trace, vmm::closest_profile(trace));
    const auto recording = vmm::recording_of(trace, {.entry_cost = costs.entry_cost});
    KVMUX_CHECK(recording || recording.error().kind == vmm::ErrorKind::kUsage,
                "a trace that lacks something");
    std::ostringstream text;
    vmm::dump_trace(trace, {}, text);
    if (trace.vcpus() <= 64) (void)vmm::ipi_graph(trace, stats, "input");
    if (trace.vcpus() <= 64) (void)vmm::svg_picture({{&trace, "input", from}}, 1'000'000);
  }
  return 0;
}
