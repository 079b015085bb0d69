// What is made of a directed yield's outcome, and what kvmux does beyond preferring its target: bring it
// here, change places, kick it in, resume. Slices of 1 ms without jitter.
#include <doctest/doctest.h>

#include "sched/scheduler.h"
#include "support.h"

using namespace sched_test;

namespace {

constexpr VcpuId kV0{0};
constexpr VcpuId kV1{1};
constexpr VcpuId kV3{3};

}  // namespace

TEST_CASE("outcome: a hit if the target ran and the yielder went on without spinning again soon") {
  SchedulerRig rig(1, {{2, "yield"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.s.spin(kW0, 0ns, true));
  REQUIRE(rig.next(kW0, 0ns) == kV1);
  REQUIRE_FALSE(rig.s.tick(kW0, 1ms));
  REQUIRE(rig.next(kW0, 1ms) == kV0);
  rig.s.spin(kW0, 1900us, true);  // much later: another wait
  CHECK(rig.stats(0, 1900us).yield_hits == 1);
  CHECK(rig.stats(0, 1900us).yield_misses == 0);
}

TEST_CASE("outcome: a miss if the yielder spins on at once") {
  SchedulerRig rig(1, {{2, "yield"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.s.spin(kW0, 0ns, true));
  REQUIRE(rig.next(kW0, 0ns) == kV1);
  REQUIRE_FALSE(rig.s.tick(kW0, 1ms));
  REQUIRE(rig.next(kW0, 1ms) == kV0);
  rig.s.spin(kW0, 1050us, true);
  CHECK(rig.stats(0, 1050us).yield_hits == 0);
  CHECK(rig.stats(0, 1050us).yield_misses == 1);
}

TEST_CASE("outcome: harmful if the target ran only to spin itself") {
  SchedulerRig rig(1, {{2, "yield"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.s.spin(kW0, 0ns, true));
  REQUIRE(rig.next(kW0, 0ns) == kV1);
  rig.s.spin(kW0, 50us, true);
  REQUIRE_FALSE(rig.s.tick(kW0, 1ms));
  REQUIRE(rig.next(kW0, 1ms) == kV0);
  rig.s.spin(kW0, 1050us, true);
  CHECK(rig.stats(0, 1050us).yield_harmful == 1);
}

TEST_CASE("outcome: who stays on its worker is judged from the yield, not from when it came on") {
  SchedulerRig rig(2, {{2, "yield"}, {2, "yield"}});
  rig.s.start(kV0, 0ns);
  rig.s.start(kV1, 0ns);
  rig.s.start(kV3, 0ns);
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.pick(kW1, 0ns) == kV3);
  REQUIRE_FALSE(rig.s.spin(kW0, 700us, true));
  REQUIRE_FALSE(rig.s.tick(kW1, 700us));
  REQUIRE(rig.next(kW1, 700us) == kV1);
  rig.s.spin(kW0, 750us, true);  // vCPU 1 ran, but we wait on
  CHECK(rig.stats(0, 750us).yield_hits == 0);
  CHECK(rig.stats(0, 750us).yield_misses == 1);
}

TEST_CASE("outcome: a guest that says whether its wait goes on is believed") {
  for (const Wait says : {Wait::kBegins, Wait::kGoesOn}) {
    SchedulerRig rig(1, {{2, "yield"}});
    rig.start_all();
    REQUIRE(rig.pick(kW0, 0ns) == kV0);
    REQUIRE(rig.s.spin(kW0, 0ns, true, Wait::kBegins));
    REQUIRE(rig.next(kW0, 0ns) == kV1);
    REQUIRE_FALSE(rig.s.tick(kW0, 1ms));
    REQUIRE(rig.next(kW0, 1ms) == kV0);
    // By the time alone it would be the other way round.
    const Nanos now = says == Wait::kBegins ? 1050us : 1900us;
    rig.s.spin(kW0, now, true, says);
    CHECK(rig.stats(0, now).yield_hits == (says == Wait::kBegins ? 1 : 0));
    CHECK(rig.stats(0, now).yield_misses == (says == Wait::kBegins ? 0 : 1));
  }
}

TEST_CASE("outcome: a spin exit at the end of the turn is still a wait that goes on") {
  SchedulerRig rig(1, {{2, "yield"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.s.spin(kW0, 0ns, true));
  REQUIRE(rig.next(kW0, 0ns) == kV1);
  REQUIRE_FALSE(rig.s.tick(kW0, 1ms));
  REQUIRE(rig.next(kW0, 1ms) == kV0);
  rig.s.inspect(kW0, [](RunQueue& queue) { dynamic_cast<EevdfQueue&>(queue).cancel_protection(); });
  CHECK(rig.s.spin(kW0, 1050us, true));
  CHECK(rig.stats(0, 1050us).yield_hits == 0);
  CHECK(rig.stats(0, 1050us).yield_misses == 1);
}

TEST_CASE("spin, kvmux: an awaited receiver comes here, acknowledges, goes home, and the sender goes on") {
  SchedulerRig rig(2, {{4, "kvmux,pack=off"}, {4, "kvmux,pack=off"}});
  run_four_apart(rig);
  VcpuSet receivers(4);
  receivers.insert(1);
  rig.s.ipi_sent(VmId{0}, {0, IrqVector{0x40}, false, receivers}, 700us);
  CHECK(rig.s.spin(kW0, 700us, false));
  CHECK(rig.stats(0, 700us).pulls == 1);
  CHECK(rig.next(kW0, 700us) == kV1);
  CHECK(rig.s.status(kV0).worker() == kW0);  // it waits where it was
  rig.host.kicks.clear();
  rig.s.eoi(kV1, IrqVector{0x40}, 710us);
  CHECK(rig.host.take_kicks(kW0) == 1);
  CHECK_FALSE(rig.s.tick(kW0, 710us));
  CHECK(rig.next(kW0, 710us) == kV0);
  CHECK(rig.s.status(kV1).worker() == kW1);
}

TEST_CASE("spin, kvmux: with another acknowledgement still to come the sender does not resume") {
  SchedulerRig rig(1, {{3, "kvmux"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  VcpuSet receivers(3);
  receivers.insert(1);
  receivers.insert(2);
  rig.s.ipi_sent(VmId{0}, {0, IrqVector{0x40}, false, receivers}, 0ns);
  REQUIRE(rig.s.spin(kW0, 10us, false));
  REQUIRE(rig.next(kW0, 10us) == kV1);
  rig.host.kicks.clear();
  rig.s.eoi(kV1, IrqVector{0x40}, 20us);
  CHECK(rig.host.take_kicks(kW0) == 0);
}

TEST_CASE("spin, kvmux: without an IPI and loans, spinner and likely holder change places") {
  SchedulerRig rig(2, {{4, "kvmux,pack=off,donate=off"}, {4, "kvmux,pack=off,donate=off"}});
  run_four_apart(rig);
  CHECK(rig.s.spin(kW0, 700us, false));
  CHECK(rig.next(kW0, 700us) == kV1);
  CHECK(rig.s.status(kV1).worker() == kW0);
  CHECK(rig.s.status(kV0).worker() == kW1);
  CHECK(rig.stats(0, 700us).pulls == 1);
}

TEST_CASE("spin, kvmux: the last one missing is kicked in where a foreign VM runs, and the spinner goes on") {
  SchedulerRig rig(2, {{2, "kvmux,pack=off,donate=off"}, {2, "kvmux,pack=off,donate=off"}});
  run_apart(rig);
  CHECK_FALSE(rig.s.spin(kW0, 700us, false));
  CHECK(rig.host.take_kicks(kW1) == 1);
  CHECK_FALSE(rig.s.tick(kW1, 701us));
  CHECK(rig.next(kW1, 701us) == kV1);
  CHECK(rig.stats(0, 701us).yields_remote == 1);
}
