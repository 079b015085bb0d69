// How long a runnable vCPU may wait for a worker, at the most. With S the longest slice, jitter included, and
// f the part of one worker that is the vCPU's when everybody is runnable and there:
//   EEVDF presets  3 · S/f. Having run a request of S, an entity is eligible again after S/f, and its next
//                  request is served by its deadline, S/f later, but for one request of somebody else
//                  (Stoica and Abdel-Wahab 1995).
//   v3             6 · S/f: credits of others push it back by as much again.
//   rr             2 · S · (number of vCPUs): one round, with room for those that come in from elsewhere.
//   gang           6 · S/f: slots are dealt whole, by the weight of the heaviest gang in a row.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "property_driver.h"

using namespace sched_test;

namespace {

double bound_of(std::string_view name) {
  if (name == "rr") return 2;
  return name == "v3" || name == "gang" ? 6 : 3;
}

// The longest wait of any vCPU in units of S/f.
double longest_wait(const Plan& plan, Driver& driver) {
  const Scheduler& scheduler = driver.scheduler();
  double longest = 0;
  for (uint32_t vm = 0; vm < plan.vms.size(); ++vm) {
    const double unit = static_cast<double>(plan.longest_slice().count()) / plan.least_share(vm);
    for (uint32_t i = 0; i < plan.vms[vm].vcpus.size(); ++i) {
      const Nanos wait = scheduler.stats(scheduler.vcpu_id(VmId{vm}, i), driver.now()).worst_wait;
      longest = std::max(longest, static_cast<double>(wait.count()) / unit);
    }
  }
  return longest;
}

}  // namespace

TEST_CASE("property: no runnable vCPU waits longer than its bound, under every preset") {
  std::array<double, std::size(kOurPresets)> worst{};
  for_each_seed(1000, [&](uint64_t seed) {
    for (size_t p = 0; p < std::size(kOurPresets); ++p) {
      Rng rng(seed);
      const Plan plan = random_plan(rng, {kOurPresets[p]}, kAllBehaviours);
      CAPTURE(plan.describe());
      Driver driver(plan, seed);
      driver.run_until(300ms);
      const double wait = longest_wait(plan, driver);
      worst[p] = std::max(worst[p], wait);
      REQUIRE(wait <= bound_of(kOurPresets[p]));
    }
  });
  for (size_t p = 0; p < std::size(kOurPresets); ++p) {
    MESSAGE(kOurPresets[p] << ": " << worst[p] << " of " << bound_of(kOurPresets[p]));
  }
}
