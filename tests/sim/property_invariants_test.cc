// What must hold at every moment of any run, over random machines and programs.
#include <doctest/doctest.h>

#include "property_driver.h"

using namespace sched_test;

// Checked on the way: the maintained average is the recomputed one and lags sum to zero within its rounding;
// deadlines lie ahead; a nominee that runs was within its limit; at most one penalty in 6 ms a worker; nobody
// stays halted with an interrupt to take; time moves on.
TEST_CASE("property: invariants hold at every moment under every preset") {
  for_each_seed(1000, [](uint64_t seed) {
    Rng rng(seed);
    const Plan plan =
        random_plan(rng, {"fair", "yield", "hier", "deboost", "ipi", "v2", "v3", "kvmux"}, kAllBehaviours);
    CAPTURE(plan.describe());
    Driver driver(plan, seed);
    for (Nanos at = 1ms; at <= 40ms; at += 1ms) {
      driver.run_until(at);
      driver.check_all();
    }
  });
}

TEST_CASE("property: no wake-up is lost and time moves on under round robin and gang") {
  for_each_seed(1000, [](uint64_t seed) {
    Rng rng(seed);
    const std::string_view name = seed % 2 == 0 ? "rr" : "gang";
    const Plan plan = random_plan(rng, {name}, kAllBehaviours);
    CAPTURE(plan.describe());
    Driver driver(plan, seed);
    for (Nanos at = 1ms; at <= 20ms; at += 1ms) {
      driver.run_until(at);
      driver.check_all();
    }
  });
}
