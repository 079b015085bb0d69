// Loans: a likely lock holder runs briefly, then the yielder again; and the trial that says where they pay.
// Slices of 1 ms without jitter, spin windows of 50 µs, so a loan is 100 µs.
#include <doctest/doctest.h>

#include <set>
#include <vector>

#include "sched/learn/trial.h"
#include "sched/scheduler.h"
#include "support.h"

using namespace sched_test;

namespace {

constexpr VcpuId kV0{0};
constexpr VcpuId kV1{1};

// vCPU 1 was taken off in mid-work, vCPU 0 spins at 300 µs and lends it a turn.
void lend(SchedulerRig& rig) {
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.next(kW0, 100us) == kV1);
  REQUIRE(rig.next(kW0, 200us) == kV0);
  REQUIRE(rig.s.spin(kW0, 300us, false));
}

}  // namespace

TEST_CASE("loan: ends by a tick of its own, then the lender goes on") {
  SchedulerRig rig(1, {{2, "kvmux"}});
  lend(rig);
  rig.s.put(kW0, 300us, false);
  const auto turn = rig.s.pick(kW0, 300us);
  REQUIRE(turn);
  CHECK(turn->vcpu == kV1);
  CHECK(turn->end == 400us);
  CHECK(rig.s.tick(kW0, 399us));
  CHECK_FALSE(rig.s.tick(kW0, 400us));
  CHECK(rig.next(kW0, 400us) == kV0);
  CHECK(rig.s.tick(kW0, 500us));  // its own turn has no such end
}

TEST_CASE("loan: its length in spin windows is a constant of the policy") {
  Setup setup = setup_of(1, {{2, "kvmux"}});
  setup.vms[0].policy.tuning.donate_windows = 5;
  SchedulerRig rig(setup);
  lend(rig);
  rig.s.put(kW0, 300us, false);
  CHECK(rig.s.pick(kW0, 300us)->end == 550us);
}

TEST_CASE("loan: over with the lender gone, the borrower goes on") {
  SchedulerRig rig(2, {{2, "kvmux"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.pick(kW1, 0ns) == kV1);
  rig.s.put(kW1, 200us, false);            // taken off in mid-work
  REQUIRE(rig.s.spin(kW0, 300us, false));  // comes to worker 0 for the loan
  REQUIRE(rig.next(kW0, 300us) == kV1);
  REQUIRE(rig.pick(kW1, 310us) == kV0);  // worker 1 is idle and takes the lender
  CHECK(rig.s.tick(kW0, 400us));
}

TEST_CASE("loan: a borrower from another worker goes home") {
  SchedulerRig rig(2, {{4, "kvmux,pack=off"}, {4, "kvmux,pack=off"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.pick(kW1, 0ns) == kV1);
  REQUIRE(rig.next(kW1, 200us) == VcpuId{5});
  REQUIRE(rig.s.spin(kW0, 300us, false));
  CHECK(rig.stats(0, 300us).pulls == 1);
  CHECK(rig.next(kW0, 300us) == kV1);
  CHECK(rig.s.status(kV0).worker() == kW0);
  REQUIRE_FALSE(rig.s.tick(kW0, 400us));
  CHECK(rig.next(kW0, 400us) == kV0);
  CHECK(rig.s.status(kV1).worker() == kW1);
}

TEST_CASE("loan: none where more than one sibling runs on other workers") {
  for (const uint32_t beside : {1u, 2u}) {
    CAPTURE(beside);
    SchedulerRig rig(3, {{6, "kvmux,pack=off"}});
    rig.start_all();
    REQUIRE(rig.pick(kW0, 0ns) == kV0);
    for (uint32_t i = 1; i <= beside; ++i) REQUIRE(rig.pick(WorkerId{i}, 0ns) == VcpuId{i});
    const VcpuId other = rig.next(kW0, 100us);
    REQUIRE(rig.s.spin(kW0, 300us, false));
    rig.s.put(kW0, 300us, false);
    const auto turn = rig.s.pick(kW0, 300us);
    REQUIRE(turn);
    CHECK(turn->vcpu != other);
    CHECK((turn->end == 400us) == (beside == 1));
  }
}

TEST_CASE("trial: an epoch each way, then the way whose epoch is longest") {
  constexpr uint32_t kEpoch = 128;
  for (const uint32_t best : {0u, 1u, 2u}) {
    CAPTURE(best);
    Trial trial({.ways = 3});
    Nanos now = 1s;
    uint32_t right = 0;
    std::vector<uint32_t> ways;
    for (uint32_t epoch = 0; epoch < 128; ++epoch) {
      ways.push_back(trial.way());
      right += trial.way() == best ? 1 : 0;
      const Nanos apart = trial.way() == best ? 2ms : 1ms;
      for (uint32_t i = 0; i < kEpoch; ++i) trial.count_exit(now += apart);
    }
    CHECK(ways[0] == 0);
    CHECK(ways[1] == 1);
    if (best == 0) CHECK(std::vector(ways.begin(), ways.begin() + 5) == std::vector{0u, 1u, 0u, 2u, 0u});
    // The others are tried again now and then.
    CHECK(right >= 110);
    CHECK(right < 128);
    CHECK(std::set<uint32_t>(ways.begin() + 32, ways.end()).size() == 3);
  }
}
