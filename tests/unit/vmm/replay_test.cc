// A run, its trace, and the same run again from the trace alone.
#include "vmm/run/replay.h"

#include <doctest/doctest.h>

#include "sched/policy/parse.h"
#include "vmm/cli/guests.h"
#include "vmm/stats/metrics.h"
#include "vmm/trace/recorder.h"

namespace vmm {
namespace {

struct Load {
  const char* guest;
  const char* lock;
};

RunSpec spec_of(const Load& load, const char* policy) {
  RunSpec spec;
  spec.backend = Backend::kSim;
  spec.duration = Nanos{1'000'000'000};
  for (int i = 0; i < 2; ++i) {
    VmSpec vm;
    vm.guest = load.guest;
    vm.policy = *sched::parse_policy(policy);
    vm.workload = make_workload(load.guest, {});
    vm.workload.lock_kind = std::string(load.lock) == "ticket" ? KVMUX_LOCK_TICKET : KVMUX_LOCK_TTAS;
    spec.vms.push_back(vm);
  }
  return spec;
}

double throughput_of(const RunSpec& spec, const RunResult& result) {
  for (const auto& [name, value] : measure(spec, result)) {
    if (name == kThroughput) return value;
  }
  return 0;
}

double simulated(const RunSpec& spec, TraceRecorder* recorder, RunResult& result) {
  RunControl control;
  control.trace = recorder;
  auto done = run_simulated(spec, control);
  REQUIRE(done);
  result = std::move(*done);
  return throughput_of(spec, result);
}

Replay recorded(const Load& load, const char* policy) {
  const RunSpec spec = spec_of(load, policy);
  TraceRecorder recorder(0, 1 << 22);
  RunResult result;
  simulated(spec, &recorder, result);
  auto content = recorder.content();
  REQUIRE(content.lost == 0);
  Trace trace;
  for (const VmSpec& vm : spec.vms) trace.vms.push_back({vm.guest, policy, vm.vcpus, {}, load.lock});
  trace.workers = spec.workers;
  trace.backend = "sim";
  trace.costs = "laptop-vmx";
  trace.spin_window = result.spin_window.count();
  trace.window_begin = result.window_begin.count();
  trace.window_end = (result.window_begin + result.window).count();
  trace.events = std::move(content.events);
  auto replay = Replay::of(std::move(trace), "");
  REQUIRE(replay);
  return std::move(*replay);
}

double replayed(const Replay& replay, const char* policy) {
  double sum = 0;
  constexpr uint64_t kSeeds = 3;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    RunControl control;
    const RunSpec spec = replay.spec({*sched::parse_policy(policy)}, seed);
    const auto result = replay.run(spec, control);
    REQUIRE(result);
    sum += throughput_of(spec, *result);
  }
  return sum / static_cast<double>(kSeeds);
}

}  // namespace

TEST_CASE(
    "replay: under its own policy a run comes out as it was; under another the difference is foretold") {
  // Where a round waits for a preempted owner a few hundred times a second, chance has more room.
  struct Case {
    Load load;
    double within;
  };
  for (const Case& c :
       {Case{{"lock", "ticket"}, 0.15}, Case{{"lock", "ttas"}, 0.05}, Case{{"ipi", "ttas"}, 0.05},
        Case{{"mixed", "ttas"}, 0.05}, Case{{"pingpong", "ttas"}, 0.05}, Case{{"compute", "ttas"}, 0.05}}) {
    CAPTURE(c.load.guest);
    CAPTURE(c.load.lock);
    const Replay replay = recorded(c.load, "fair");
    const double own = replayed(replay, "fair");
    CHECK(std::abs(own / replay.throughput() - 1) <= c.within);
    RunResult result;
    const double truth = simulated(spec_of(c.load, "kvmux"), nullptr, result) / replay.throughput();
    const double foretold = replayed(replay, "kvmux") / own;
    CAPTURE(truth);
    CAPTURE(foretold);
    if (truth > 1.15) CHECK(foretold > 1.15);
    CHECK(foretold == doctest::Approx(truth).epsilon(0.25));
  }
}

TEST_CASE("replay: what the guests did is taken from the trace, not from their parameters") {
  const Load load{"lock", "ttas"};
  Replay replay = recorded(load, "fair");
  // The same events, half as fast: whoever looked at the guest's name would not see it.
  Trace slow = replay.trace();
  for (auto& event : slow.events) event.at *= 2;
  slow.window_begin *= 2;
  slow.window_end *= 2;
  const auto twice = Replay::of(std::move(slow), "");
  REQUIRE(twice);
  CHECK(replayed(*twice, "kvmux") == doctest::Approx(replayed(replay, "kvmux") / 2).epsilon(0.05));
}

}  // namespace vmm
