// How fast the simulator is. Targets: at least 3 million events a second on one core with 16 workers and 64
// vCPUs; 1,024 workers and 16,384 vCPUs for one virtual second in under 60 s and 2 GiB. Rates are in CPU
// time, so that whatever else runs on the host disturbs little.
// --benchmark_filter=-large leaves out the large runs, which take minutes on a busy host.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <memory>

#include "sched/sim/simulator.h"

namespace {

using namespace sched;
using namespace sched::sim;

constexpr Nanos kSecond{1'000'000'000};
constexpr uint32_t kVcpus = 16;  // of each VM

// Linux's directed yield over a contended lock: every part of the simulator and the scheduler is busy.
Config config_of(uint32_t workers, uint32_t vms, const char* profile) {
  Config config;
  config.costs = *find_profile(profile);
  config.spin_window = std::max(config.costs.exit_user, Nanos{20'000});
  config.setup.workers = workers;
  Policy yield;
  for (const Preset& preset : presets()) {
    if (preset.name == "yield") yield.features = preset.features;
  }
  for (uint32_t i = 0; i < vms; ++i) {
    config.setup.vms.push_back({.vcpus = kVcpus, .weight = {}, .parent = kRootGroup, .policy = yield});
    config.vms.push_back({.guest = GuestKind::kLock, .workload = {}, .vcpus = kVcpus});
  }
  return config;
}

void report(benchmark::State& state, uint64_t events, Nanos simulated) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  state.counters["events"] = benchmark::Counter(static_cast<double>(events), benchmark::Counter::kIsRate);
  state.counters["virtual_s"] = std::chrono::duration<double>(simulated).count();
  state.counters["peak_MiB"] = static_cast<double>(usage.ru_maxrss) / 1024.0;
}

void small_host(benchmark::State& state, const char* profile) {
  Simulator simulator(config_of(16, 4, profile));
  simulator.run_until(kSecond / 10);
  const uint64_t before = simulator.events();
  const Nanos start = simulator.now();
  for (auto step : state) {
    static_cast<void>(step);
    simulator.run_until(simulator.now() + kSecond / 100);
  }
  report(state, simulator.events() - before, simulator.now() - start);
}

void large_host(benchmark::State& state, const char* profile) {
  for (auto step : state) {
    static_cast<void>(step);
    auto simulator = std::make_unique<Simulator>(config_of(1024, 1024, profile));
    simulator->run_until(kSecond);
    report(state, simulator->events(), simulator->now());
  }
}

BENCHMARK_CAPTURE(small_host, laptop_vmx, "laptop-vmx")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(small_host, kvm_pvm, "kvm-pvm")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(large_host, kvm_pvm, "kvm-pvm")->Unit(benchmark::kSecond)->Iterations(1);
BENCHMARK_CAPTURE(large_host, laptop_vmx, "laptop-vmx")->Unit(benchmark::kSecond)->Iterations(1);

}  // namespace
