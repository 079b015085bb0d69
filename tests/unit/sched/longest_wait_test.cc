// The bounds of sched/README.md's table of longest waits; that they hold is
// tests/sim/property_wait_test.cc's.
#include "sched/policy/longest_wait.h"

#include <doctest/doctest.h>

#include "sched/policy/parse.h"

using namespace sched;
using namespace std::chrono_literals;

namespace {

Setup setup_with(const char* preset, std::vector<std::pair<uint32_t, int64_t>> vms) {
  Setup setup;
  const Policy policy = *parse_policy(preset);
  setup.queue = policy.features.queue;
  setup.tuning = policy.tuning;
  for (const auto& [vcpus, weight] : vms)
    setup.vms.push_back({.vcpus = vcpus, .weight = {weight}, .parent = kRootGroup, .policy = policy});
  return setup;
}

Nanos of(const char* preset, uint32_t runnable) {
  return longest_wait(setup_with(preset, {{4, 1024}}), runnable);
}

}  // namespace

TEST_CASE("longest wait: a hundred equal vCPUs on a worker, as the README has it") {
  CHECK(of("rr", 100) >= 280ms);
  CHECK(of("rr", 100) < 400ms);
  for (const char* preset : {"fair", "yield", "linux-7.3", "hier", "deboost", "ipi", "v2", "kvmux"}) {
    CAPTURE(preset);
    CHECK(of(preset, 100) >= 671ms);
    CHECK(of(preset, 100) <= 673ms);
  }
  CHECK(of("v3", 100) == 2 * of("v2", 100));
  CHECK(of("kvmux", 4) >= 2 * 4 * 12ms);
  CHECK(of("kvmux", 8) <= 2 * 8 * 7200us);
  CHECK(of("gang", 10) >= 6 * 10 * 2800us);
  CHECK(of("fair,slice=10ms", 2) == 48ms);
}

TEST_CASE("longest wait: whoever has least waits longest, groups included") {
  const Nanos equal = longest_wait(setup_with("fair", {{4, 1024}, {4, 1024}}), 8);
  const Nanos unequal = longest_wait(setup_with("fair", {{4, 1024}, {4, 3072}}), 8);
  CHECK(unequal == 2 * equal);  // a quarter of the time for half of the vCPUs
  Setup nested = setup_with("fair", {{4, 1024}, {4, 1024}});
  nested.groups.push_back({.path = "test", .parent = kRootGroup, .weight = {512}});
  nested.vms[1].parent = GroupId{0};
  CHECK(longest_wait(nested, 8) > equal);
  CHECK(longest_wait(nested, 8) == equal * 3 / 2);  // a third
  // Nothing overflows.
  CHECK(longest_wait(setup_with("fair", {{1024, 2}, {1, 1 << 20}}), 4096) > 1h);
}
