// Tricks that must gain a vCPU nothing: yielding in a tight loop (each return to the queue a wake-up's
// credit), and sleeping just before each tick (never charged). On one worker, against siblings that only
// compute; besides, its VM must not gain either. Over a second, 5 % and a slice for turns that were cut at
// the ends; with gang 15 %, whose slots are whole.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "property_driver.h"

using namespace sched_test;

namespace {

// A VM of one vCPU with the trick and one to three that compute, next to up to two VMs that compute.
Plan trick_plan(Rng& rng, std::string_view name, Behaviour trick) {
  Plan plan;
  plan.setup.workers = 1;
  plan.setup.seed = rng.next();
  std::vector<Behaviour> mixed(2 + rng.below(3), Behaviour::kCompute);
  mixed[0] = trick;
  plan.add(name, kDefaultWeight, std::move(mixed));
  for (uint64_t more = rng.below(3); more > 0; --more) {
    plan.add(name, kDefaultWeight, std::vector<Behaviour>(1 + rng.below(3), Behaviour::kCompute));
  }
  return plan;
}

void gains_nothing(Behaviour trick) {
  for_each_seed(1000, [&](uint64_t seed) {
    for (const std::string_view name : kOurPresets) {
      Rng rng(seed);
      const Plan plan = trick_plan(rng, name, trick);
      CAPTURE(plan.describe());
      Driver driver(plan, seed);
      driver.run_until(1s);
      const Scheduler& scheduler = driver.scheduler();
      const auto running = [&](uint32_t i) {
        return scheduler.stats(scheduler.vcpu_id(VmId{0}, i), driver.now()).times.running;
      };
      const auto siblings = static_cast<int64_t>(plan.vms[0].vcpus.size()) - 1;
      const Nanos all = driver.service(VmId{0});
      const int64_t percent = name == "gang" ? 115 : 105;
      REQUIRE((running(0) - plan.longest_slice()) * siblings * 100 <= (all - running(0)) * percent);
      int64_t parts = 0;  // rr shares by vCPUs
      for (const VmPlan& vm : plan.vms) parts += name == "rr" ? vm.setup.vcpus : 1;
      REQUIRE((all - plan.longest_slice()) * parts * 100 <= 1s * (name == "rr" ? siblings + 1 : 1) * percent);
    }
  });
}

}  // namespace

TEST_CASE("property: a vCPU that yields in a tight loop gains nothing") {
  gains_nothing(Behaviour::kYieldsTight);
}

TEST_CASE("property: a vCPU that sleeps just before each tick gains nothing") {
  gains_nothing(Behaviour::kSleepsAtTick);
}
