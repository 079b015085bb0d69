// Work conservation: how long a vCPU may wait on one worker while another has nothing to do, under every
// preset that moves vCPUs. The bound is 50 µs:
//   2 µs   until a kick arrives (the driver's),
//   20 µs  during which a vCPU that has just run is not taken, because a move costs more (migration_cost),
//   20 µs  for which a turn that is about to end is waited for, instead of moving who comes next,
//   2 µs   until the kick at that turn's end arrives; and room for the same of a vCPU that comes in between.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "property_driver.h"

using namespace sched_test;

namespace {

constexpr std::string_view kMovingPresets[] = {"rr",  "fair", "yield", "linux-7.3", "hier", "deboost",
                                               "ipi", "v2",   "v3",    "kvmux"};
constexpr Nanos kBound = 50us;

Nanos longest_idle(const Plan& plan, uint64_t seed) {
  Driver driver(plan, seed);
  driver.run_until(200ms);
  return driver.longest_unfairly_idle();
}

}  // namespace

TEST_CASE("property: no vCPU waits while a worker is idle, under every preset that moves") {
  std::array<Nanos, std::size(kMovingPresets)> worst{};
  for_each_seed(200, [&](uint64_t seed) {
    for (size_t p = 0; p < std::size(kMovingPresets); ++p) {
      Rng rng(seed);
      const Plan plan = random_plan(rng, {kMovingPresets[p]}, kAllBehaviours);
      CAPTURE(plan.describe());
      const Nanos idle = longest_idle(plan, seed);
      worst[p] = std::max(worst[p], idle);
      CHECK(idle <= kBound);
    }
  });
  for (size_t p = 0; p < std::size(kMovingPresets); ++p) {
    MESSAGE(kMovingPresets[p] << ": " << worst[p].count() << " ns");
  }
}

// Where it was found: short sleepers of several VMs that stay whole.
TEST_CASE("property: short sleepers of three VMs keep both workers busy") {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Plan plan;
    plan.setup.workers = 2;
    for (int vm = 0; vm < 3; ++vm)
      plan.add("kvmux", kDefaultWeight, {Behaviour::kSleeps, Behaviour::kSleeps});
    CAPTURE(seed);
    CHECK(longest_idle(plan, seed) <= kBound);
  }
}
