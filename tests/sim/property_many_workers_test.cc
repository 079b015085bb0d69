// Weights where a VM is spread over so many workers that its share of each is small.
#include <doctest/doctest.h>

#include "property_driver.h"

using namespace sched_test;

TEST_CASE("property: on 1,024 workers, VMs that run everywhere get what their weights say") {
  constexpr uint32_t kWorkers = 1024;
  constexpr int64_t kWeights[] = {512, 1024, 3072};
  Plan plan;
  plan.setup.workers = kWorkers;
  for (const int64_t weight : kWeights) {
    plan.add("fair", Weight{weight}, std::vector<Behaviour>(kWorkers, Behaviour::kCompute));
  }
  Driver driver(plan, 1);
  driver.run_until(200ms);
  constexpr double kAll = 512 + 1024 + 3072;
  for (uint32_t vm = 0; vm < std::size(kWeights); ++vm) {
    CAPTURE(kWeights[vm]);
    const double got = static_cast<double>(driver.service(VmId{vm}).count()) / (200e6 * kWorkers);
    CHECK(got == doctest::Approx(static_cast<double>(kWeights[vm]) / kAll).epsilon(0.08));
  }
}

TEST_CASE("group weights are as fine on many workers as on 64") {
  CHECK(Hierarchy::resolution_for(1) == 1);
  CHECK(Hierarchy::resolution_for(64) == 1);
  CHECK(Hierarchy::resolution_for(65) == 2);
  CHECK(Hierarchy::resolution_for(1024) == 16);
  CHECK(Hierarchy::resolution_for(1025) == 32);
}
