// What must hold at every moment of any run, over random machines and programs.
#include <doctest/doctest.h>

#include <initializer_list>
#include <string_view>

#include "property_driver.h"

using namespace sched_test;

namespace {

// In milliseconds, with a full check after each.
void check_run(std::initializer_list<std::string_view> presets, uint64_t seed, int length) {
  Rng rng(seed);
  const Plan plan = random_plan(rng, presets, kAllBehaviours);
  CAPTURE(plan.describe());
  Driver driver(plan, seed);
  for (int at = 1; at <= length; ++at) {
    driver.run_until(at * 1ms);
    driver.check_all();
  }
}

}  // namespace

// Checked on the way: the maintained average is the recomputed one and lags sum to zero within its rounding;
// deadlines lie ahead; a nominee that runs was within its limit; at most one penalty in 6 ms a worker; nobody
// stays halted with an interrupt to take; time moves on. Each preset alone, and all of them in one machine.
TEST_CASE("property: invariants hold at every moment under every preset") {
  for_each_seed(1000, [](uint64_t seed) {
    for (const std::string_view name :
         {"fair", "yield", "hier", "deboost", "ipi", "v2", "v3", "kvmux", "linux-7.3", "vee21", "cosched-ipi"}) {
      check_run({name}, seed, 40);
    }
    check_run({"fair", "yield", "hier", "deboost", "ipi", "v2", "v3", "kvmux", "vee21", "cosched-ipi"}, seed, 40);
  });
}

TEST_CASE("property: no wake-up is lost and time moves on under round robin and gang") {
  for_each_seed(1000, [](uint64_t seed) {
    check_run({"rr"}, seed, 20);
    check_run({"gang"}, seed, 20);
  });
}
