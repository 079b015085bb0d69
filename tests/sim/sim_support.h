// Configurations that the simulator's tests start from.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

#include "sched/policy/parse.h"
#include "sched/sim/simulator.h"

namespace sched::sim {

// A host on which nothing costs anything and nothing disturbs: figures can be worked out by hand.
inline CostProfile free_host() {
  CostProfile costs;
  for (const CostField& field : cost_fields()) {
    if (field.name.ends_with("_ns")) field.set(costs, field.min);
  }
  return costs;
}

struct Shape {
  uint32_t workers = 2;
  uint32_t vms = 2;
  uint32_t vcpus = 4;
};

inline Workload workload_of(GuestKind guest) {
  Workload w;
  if (guest == GuestKind::kIpi) w = {.think = Nanos{200'000}, .hold = Nanos{0}};
  if (guest == GuestKind::kMixed) w = {.think = Nanos{20'000}, .hold = Nanos{10'000}};
  return w;
}

inline Config config_of(std::string_view policy_text, GuestKind guest, const Workload& workload, Shape shape,
                        uint64_t seed = 1) {
  const auto policy = parse_policy(policy_text);
  REQUIRE(policy);
  Config config;
  config.costs = *find_profile("kvm-pvm");
  config.seed = seed;
  config.setup.seed = seed;
  config.setup.workers = shape.workers;
  config.setup.queue = policy->features.queue;
  config.setup.tuning = policy->tuning;
  for (uint32_t i = 0; i < shape.vms; ++i) {
    config.setup.vms.push_back({.vcpus = shape.vcpus, .weight = {}, .parent = kRootGroup, .policy = *policy});
    config.vms.push_back({.guest = guest, .workload = workload, .vcpus = shape.vcpus});
  }
  return config;
}

// As host threads: for the scheduler all are vCPUs of one VM.
inline Config host_config(GuestKind guest, const Workload& workload, Shape shape, Threads threads) {
  Config config = config_of("fair", guest, workload, shape);
  config.threads = threads;
  if (threads == Threads::kHost) config.spin_window = {};
  config.setup.vms.resize(1);
  config.setup.vms[0].vcpus = shape.vms * shape.vcpus;
  return config;
}

inline Nanos sum(const Places& places) {
  Nanos total{};
  for (const Nanos time : places) total += time;
  return total;
}

inline Nanos at(const VcpuReport& report, Place place) { return report.places[static_cast<size_t>(place)]; }

inline Nanos sum(const StateTimes& times) {
  return times.running + times.waiting + times.halted + times.stopped;
}

inline uint64_t operations(const Simulator& simulator, uint32_t first, uint32_t count) {
  uint64_t total = 0;
  for (uint32_t i = first; i < first + count; ++i) total += simulator.report(VcpuId{i}).counters.operations;
  return total;
}

inline constexpr std::array kAllGuests{GuestKind::kLock, GuestKind::kIpi, GuestKind::kMixed,
                                       GuestKind::kCompute, GuestKind::kPingpong};
inline constexpr std::array<std::string_view, 15> kOurPresets{
    "rr", "fair",  "yield",    "linux-7.3",   "hier",  "deboost", "ipi", "v2",
    "v3", "vee21", "critical", "cosched-ipi", "kvmux", "oracle",  "gang"};
inline constexpr Nanos kMs{1'000'000};
inline constexpr Nanos kSecond{1'000'000'000};

}  // namespace sched::sim
