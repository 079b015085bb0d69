#include "vmm/trace/ipi_graph.h"

#include <doctest/doctest.h>

using namespace vmm;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// vCPU 0 of VM 0 sends to 1 and 2 at once, ten times; VM 1 sends nothing.
Trace sends() {
  Trace trace;
  trace.vms = {{"ipi <&>", "v2", 3}, {"compute", "v2", 2}};
  trace.workers = 1;
  trace.window_end = 100'000;
  const auto at = [&](int64_t time, sched::TraceKind kind, uint32_t vcpu, uint32_t other = sched::kNoOne) {
    trace.events.push_back(
        {.at = time, .vcpu = vcpu, .other = other, .value = 64, .worker = 0, .kind = kind});
  };
  for (int64_t i = 0; i < 10; ++i) {
    const int64_t begin = i * 10'000;
    at(begin, sched::TraceKind::kIpiSend, 0, 1);
    at(begin, sched::TraceKind::kIpiSend, 0, 2);
    at(begin + 1000, sched::TraceKind::kInject, 1);
    at(begin + 1500, sched::TraceKind::kEoi, 1);
    at(begin + 3000, sched::TraceKind::kInject, 2);
    at(begin + 4000, sched::TraceKind::kEoi, 2);
  }
  return trace;
}

}  // namespace

TEST_CASE("IPI graph: an arrow a pair, with its times; fan-outs; VMs that send none are left out") {
  const Trace trace = sends();
  const IpiGraph graph = ipi_graph(trace, stats_of(trace, 0, 100'000), "v2 & more");
  CHECK(contains(
      graph.svg,
      "0.0 → 0.1: 10 IPIs; sent until injected 1.0 µs / 1.0 µs, injected until EOI 500 ns / 500 ns"));
  CHECK(contains(
      graph.svg,
      "0.0 → 0.2: 10 IPIs; sent until injected 3.0 µs / 3.0 µs, injected until EOI 1.0 µs / 1.0 µs"));
  CHECK(contains(graph.svg,
                 "Fan-out to 2 receivers: 10 times; until the last has acknowledged 4.0 µs / 4.0 µs"));
  CHECK(contains(graph.svg, "20 IPIs sent outside of handlers"));
  CHECK(contains(graph.svg, "ipi &lt;&amp;&gt;"));
  CHECK(contains(graph.svg, "v2 &amp; more"));
  CHECK_FALSE(contains(graph.svg, "VM 1"));
  CHECK(contains(graph.words, "2 pairs of vCPUs"));
}

TEST_CASE("IPI graph: nothing was sent") {
  Trace trace = sends();
  trace.events.clear();
  const IpiGraph graph = ipi_graph(trace, stats_of(trace, 0, 100'000), "none");
  CHECK(contains(graph.svg, "No IPIs were sent"));
  CHECK(graph.words == "No IPIs were sent.");
}
