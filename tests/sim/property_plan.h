// Machines and programs for the property tests, made up from a seed.
//
// One thread. KVMUX_SEED replays one seed, KVMUX_SEEDS sets how many a property runs over.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sched/base/rng.h"
#include "sched/scheduler.h"

namespace sched_test {

using namespace sched;
using namespace std::chrono_literals;

enum class Behaviour : uint8_t {
  kCompute,       // never stops
  kSpins,         // computes up to 1 ms, then spins for up to 20 windows
  kYieldsTight,   // a spin exit every 20 µs, for ever
  kSleeps,        // computes up to 3 ms, then halts for up to 5 ms
  kSleepsAtTick,  // halts a microsecond before each tick, for a microsecond
  kSendsIpis,     // computes up to 500 µs, sends to some siblings, spins until all have acknowledged
  kCount,
};

struct VmPlan {
  VmSetup setup;
  std::vector<Behaviour> vcpus;  // one each
};

struct Plan {
  Setup setup;  // vms are taken from `vms`
  std::vector<VmPlan> vms;

  // A VM of this preset, which also decides on the run queue and its constants.
  void add(std::string_view preset, Weight weight, std::vector<Behaviour> vcpus);
  std::string describe() const;
  // The part of one worker that is this vCPU's at the least: its VM's weight, split evenly over its vCPUs, in
  // the sum of all weights at every level, as if everybody were runnable and on its worker. Gangs know no
  // groups, and round robin no weights.
  double least_share(uint32_t vm) const;
  Nanos longest_slice() const;  // jitter included
};

// The preset's features and constants.
Policy preset(std::string_view name);

inline constexpr std::string_view kOurPresets[] = {
    "rr", "fair", "yield", "hier", "deboost", "ipi", "v2", "v3", "kvmux", "gang", "linux-7.3", "vee21", "cosched-ipi"};
inline constexpr Behaviour kAllBehaviours[] = {Behaviour::kCompute,      Behaviour::kSpins,
                                               Behaviour::kYieldsTight,  Behaviour::kSleeps,
                                               Behaviour::kSleepsAtTick, Behaviour::kSendsIpis};

// A machine of 1 to 4 workers and 1 to 5 VMs of 1 to 5 vCPUs with weights from 256 to 4096, now and then in
// groups. Every VM has one of the presets; each vCPU one of the behaviours.
Plan random_plan(Rng& rng, std::initializer_list<std::string_view> presets,
                 std::span<const Behaviour> behaviours);

void for_each_seed(uint64_t count, const std::function<void(uint64_t)>& property);

// For what is checked at every event: a REQUIRE costs more than the event itself.
inline void must(bool holds, const char* what) {
  if (!holds) FAIL(std::string(what));
}

}  // namespace sched_test
