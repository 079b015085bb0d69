// What an event of the trace costs: nothing but a branch where there is none; with one, the ring's stores,
// and the clock for those few events whose time the run loop does not have at hand.
#include <benchmark/benchmark.h>

#include "vmm/run/clock.h"
#include "vmm/trace/recorder.h"

namespace {

constexpr size_t kEvents = 1 << 16;

// As the run loop's hooks do it (vmm/run/worker_trace.h), seen from where the sink is not known to be null.
void say(sched::TraceSink* sink, int64_t at) {
  if (sink == nullptr) [[likely]]
    return;
  sink->record({.at = at, .vcpu = 3, .value = 7, .worker = 0, .kind = sched::TraceKind::kEnter});
}

void trace_off(benchmark::State& state) {
  sched::TraceSink* sink = nullptr;
  int64_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sink);
    say(sink, ++at);
  }
}
BENCHMARK(trace_off);

void trace_event(benchmark::State& state) {
  vmm::TraceRecorder recorder(1, kEvents);
  recorder.attach(0);
  sched::TraceSink* sink = &recorder;
  int64_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sink);
    say(sink, ++at);
  }
  vmm::TraceRecorder::detach();
}
BENCHMARK(trace_event);

void trace_event_and_clock(benchmark::State& state) {
  vmm::TraceRecorder recorder(1, kEvents);
  recorder.attach(0);
  sched::TraceSink* sink = &recorder;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sink);
    say(sink, vmm::monotonic_now().count());
  }
  vmm::TraceRecorder::detach();
}
BENCHMARK(trace_event_and_clock);

// A thread that has no ring of its own: a board's timers.
void trace_event_of_others(benchmark::State& state) {
  vmm::TraceRecorder recorder(1, kEvents);
  int64_t at = 0;
  for (auto _ : state) say(&recorder, ++at);
}
BENCHMARK(trace_event_of_others);

}  // namespace
