// Directed yield through the scheduler: whom, with what effect, and what is made of the outcome. Slices of 1
// ms without jitter; presets as the command line knows them.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "sched/scheduler.h"
#include "sched/yield/effect.h"
#include "support.h"

using namespace sched_test;

namespace {

constexpr VcpuId kV0{0};
constexpr VcpuId kV1{1};
constexpr VcpuId kV2{2};
constexpr VcpuId kV3{3};

uint64_t done(const VcpuStats& stats, YieldReason reason) {
  return stats.yields_done[static_cast<size_t>(reason)];
}

Vruntime vruntime_of(SchedulerRig& rig, WorkerId worker, VcpuId vcpu) {
  return rig.s.inspect(worker, [&](RunQueue& queue) {
    Vcpu* current = queue.current();
    if (current != nullptr && current->id == vcpu) return current->vruntime;
    std::array<Vcpu*, 64> out{};
    const uint32_t n = queue.movable(out);
    for (uint32_t i = 0; i < n; ++i) {
      if (out[i]->id == vcpu) return out[i]->vruntime;
    }
    return Vruntime{-1};
  });
}

}  // namespace

TEST_CASE("kvmux: where no sibling is left to yield to, the turn goes to whoever is next") {
  SchedulerRig rig(1, {{2, "kvmux"}, {1, "kvmux"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == VcpuId{0});
  REQUIRE(rig.next(kW0, 100us) == VcpuId{2});
  REQUIRE(rig.next(kW0, 200us) == VcpuId{1});
  rig.s.halt(kW0, 300us);
  VcpuId runs = rig.pick(kW0, 300us);
  if (runs == VcpuId{2}) runs = rig.next(kW0, 400us);
  REQUIRE(runs == VcpuId{0});
  CHECK(rig.s.spin(kW0, 500us, false, Wait::kBegins));  // vCPU 1 sleeps
  CHECK(rig.next(kW0, 500us) == VcpuId{2});
  CHECK(rig.stats(0, 500us).yields_tried == 0);
}

TEST_CASE("kvmux: whoever was merely taken off is not run before those who are owed more") {
  for (const bool sure : {false, true}) {  // is it likely to be what is waited for?
    CAPTURE(sure);
    SchedulerRig rig(1, {{2, "kvmux"}, {2, "kvmux"}});
    rig.start_all();
    REQUIRE(index_of(rig.pick(kW0, 0ns)) < 2);
    rig.s.put(kW0, 900us, false);
    rig.s.inspect(kW0, [&](RunQueue& queue) {
      std::array<Vcpu*, 4> waits{};
      REQUIRE(queue.movable(waits) == 4);
      const auto sibling = std::find_if(waits.begin(), waits.end(), [](Vcpu* v) { return v->vm == VmId{0}; });
      DeboostState limit;
      static_cast<void>(
          apply_remote_yield(static_cast<EevdfQueue&>(queue), limit, policy_of("kvmux"), **sibling, sure, 900us));
    });
    CHECK((index_of(rig.pick(kW0, 900us)) < 2) == sure);
  }
}

TEST_CASE("spin: presets that do nothing on a spin exit go on spinning") {
  for (const char* preset : {"fair", "rr", "gang"}) {
    CAPTURE(preset);
    SchedulerRig rig(1, {{2, preset}});
    rig.start_all();
    const VcpuId running = rig.pick(kW0, 0ns);
    CHECK_FALSE(rig.s.spin(kW0, 100us, true));
    CHECK_FALSE(rig.s.status(running).spinning());
    CHECK(rig.s.stats(running, 100us).spin_exits == 1);
    CHECK(rig.s.stats(running, 100us).yields_tried == 0);
  }
}

TEST_CASE("spin: a VM of one vCPU has nobody to yield to") {
  SchedulerRig rig(1, {{1, "yield"}, {1, "yield"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  CHECK_FALSE(rig.s.spin(kW0, 100us, true));
}

TEST_CASE("spin, same worker: the target runs next, the yielder gives up its request and counts it") {
  SchedulerRig rig(1, {{3, "yield"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  CHECK(rig.s.spin(kW0, 0ns, true));
  CHECK(rig.s.status(kV0).spinning());
  CHECK(vruntime_of(rig, kW0, kV0) == Vruntime{1'000'000});
  CHECK(rig.next(kW0, 0ns) == kV1);
  CHECK(rig.s.status(kV0).spinning());  // until it runs again
  // From after the last boosted one.
  CHECK(rig.s.spin(kW0, 0ns, true));
  CHECK(rig.next(kW0, 0ns) == kV2);
  const VcpuStats stats = rig.stats(0, 0ns);
  CHECK(stats.spin_exits == 1);
  CHECK(stats.yields_tried == 1);
  CHECK(stats.yields_local == 1);
  CHECK(stats.yields_remote == 0);
  CHECK(done(stats, YieldReason::kPreempted) == 1);
}

TEST_CASE("spin: at the end of a turn it is a yield like any other") {
  SchedulerRig rig(1, {{2, "yield"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  CHECK(rig.s.spin(kW0, 1ms, true));
  CHECK(rig.stats(0, 1ms).spin_exits == 1);
  CHECK(rig.stats(0, 1ms).yields_tried == 1);
  CHECK(rig.s.status(kV0).spinning());
  CHECK(rig.next(kW0, 1ms) == kV1);
}

TEST_CASE("spin, other worker: the target is preferred there, that worker looks, the yielder makes room") {
  SchedulerRig rig(2, {{2, "yield"}, {2, "yield"}});
  run_apart(rig);
  CHECK(rig.s.spin(kW0, 700us, true));
  CHECK(rig.host.take_kicks(kW1) == 1);
  CHECK_FALSE(rig.s.tick(kW1, 701us));
  CHECK(rig.next(kW1, 701us) == kV1);
  CHECK(rig.next(kW0, 701us) == kV2);
  const VcpuStats stats = rig.stats(0, 701us);
  CHECK(stats.yields_remote == 1);
  CHECK(stats.yields_local == 0);
}

TEST_CASE("spin, other worker: with nobody waiting here the yielder goes on") {
  SchedulerRig rig(2, {{2, "yield"}, {2, "yield"}});
  rig.s.start(kV0, 0ns);
  rig.s.start(kV1, 0ns);
  rig.s.start(kV3, 0ns);
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.pick(kW1, 0ns) == kV3);  // its VM has all of its weight there
  CHECK_FALSE(rig.s.spin(kW0, 700us, true));
  CHECK_FALSE(rig.s.status(kV0).spinning());
  CHECK(rig.stats(0, 700us).yields_remote == 1);
}

TEST_CASE("spin, other worker: that worker is between two turns, so nobody is current on its queue") {
  for (const char* policy : {"yield", "v3", "v2,credit=on"}) {
    CAPTURE(policy);
    SchedulerRig rig(2, {{2, policy}, {2, policy}});
    run_apart(rig);
    rig.s.put(kW1, 650us, true);
    CHECK(rig.s.spin(kW0, 700us, true));
    CHECK(rig.stats(0, 700us).yields_remote == 1);
    CHECK(rig.pick(kW1, 701us) == kV1);
    CHECK_FALSE(rig.s.tick(kW1, 702us) == std::nullopt);  // its turn is a whole one
    rig.s.check();
  }
}

TEST_CASE("spin, other worker: alone here and alone there, the attempt fails (Linux: yield_to gives ESRCH)") {
  SchedulerRig rig(2, {{2, "yield"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  // Worker 1 is about to pick vCPU 1 anyway.
  CHECK_FALSE(rig.s.spin(kW0, 10us, true));
  CHECK(rig.stats(0, 10us).yields_tried == 1);
  CHECK(rig.stats(0, 10us).yields_remote == 0);
  CHECK(rig.host.take_kicks(kW1) == 0);
}

TEST_CASE("spin: a yield that is not honoured for fairness lets the foreign VM run") {
  SchedulerRig rig(1, {{2, "yield"}, {1}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  CHECK(rig.s.spin(kW0, 100us, true));
  CHECK(rig.next(kW0, 100us) == kV2);
}

TEST_CASE("spin, IPI-aware: the awaited receiver before whoever comes next") {
  for (const char* preset : {"ipi", "v2", "v3"}) {
    CAPTURE(preset);
    SchedulerRig rig(1, {{4, preset}});
    rig.start_all();
    REQUIRE(rig.pick(kW0, 0ns) == kV0);
    VcpuSet receivers(4);
    receivers.insert(3);
    rig.s.ipi_sent(VmId{0}, {0, IrqVector{0x40}, false, receivers}, 0ns);
    CHECK(rig.s.spin(kW0, 0ns, true));
    CHECK(rig.next(kW0, 0ns) == kV3);
    CHECK(done(rig.stats(0, 0ns), YieldReason::kIpiReceiver) == 1);
    // Acknowledged, it is no better than the others: none of them was preempted or has an interrupt.
    rig.s.eoi(kV3, IrqVector{0x40}, 0ns);
    REQUIRE(rig.next(kW0, 0ns) != kV3);
  }
}

TEST_CASE("spin, deboost: penalty of one gran without a gap, at the level where the two are siblings") {
  SchedulerRig rig(1, {{2, "deboost"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  CHECK(rig.s.spin(kW0, 200us, true));
  // Two queued, need 0: one slice. It is past the average then, so no forfeit on top.
  CHECK(vruntime_of(rig, kW0, kV0) == Vruntime{1'200'000});
  CHECK(rig.stats(0, 200us).penalties == 1);
  CHECK(rig.stats(0, 200us).penalty_sum == Vruntime{1'000'000});
  CHECK(rig.next(kW0, 200us) == kV1);
}

TEST_CASE("spin, deboost: the gap is measured before the forfeit closes it") {
  SchedulerRig rig(1, {{2, "deboost"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.next(kW0, 900us) == kV1);
  // vCPU 1 at 0.1 ms yields to vCPU 0 at 0.9 ms: 1 + 0.8 + 0.08.
  CHECK(rig.s.spin(kW0, 1ms, true));
  CHECK(rig.stats(1, 1ms).penalty_sum == Vruntime{1'880'000});
  CHECK(vruntime_of(rig, kW0, kV1) == Vruntime{1'980'000});
}

TEST_CASE("spin, deboost: once in 6 ms a worker; without it the forfeit alone") {
  SchedulerRig rig(1, {{2, "deboost"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  CHECK(rig.s.spin(kW0, 200us, true));
  REQUIRE(rig.next(kW0, 200us) == kV1);
  CHECK_FALSE(rig.s.spin(kW0, 399us, true));  // vCPU 0 spins itself: every second time
  CHECK(rig.s.spin(kW0, 400us, true));
  CHECK(rig.stats(1, 400us).penalties == 0);
  CHECK(vruntime_of(rig, kW0, kV1) == Vruntime{1'000'000});  // forfeited the rest of its request
}

TEST_CASE("spin, deboost: who counts against the rate limit when the target is on another worker") {
  // v2 counts the attempt before it looks where the target is; deboost looks first.
  for (const bool v2 : {true, false}) {
    CAPTURE(v2);
    Setup setup = setup_of(2, {{3, "deboost"}, {2, "deboost"}});
    for (VmSetup& vm : setup.vms) vm.policy.features.rate_limit_first = v2;
    SchedulerRig rig(setup);
    // Worker 0: vCPUs 0, 2, 4; worker 1: 1 and 3, of which 3 runs.
    rig.start_all();
    REQUIRE(rig.pick(kW0, 0ns) == kV0);
    REQUIRE(rig.pick(kW1, 0ns) != kNoVcpu);
    if (rig.state(1) == RunState::kRunning) REQUIRE(rig.next(kW1, 10us) == kV3);
    REQUIRE(rig.state(1) == RunState::kQueued);
    CHECK(rig.s.spin(kW0, 20us, true));  // to vCPU 1, elsewhere
    REQUIRE(rig.stats(0, 20us).yields_remote == 1);
    Nanos now = 20us;
    while (rig.next(kW0, now) != kV2) {
      now += 1ms;
      REQUIRE(now < 5ms);
    }
    rig.s.spin(kW0, now, true);  // vCPU 0 spins itself: every second time
    CHECK(rig.s.spin(kW0, now, true));
    REQUIRE(rig.stats(2, now).yields_local == 1);
    CHECK(rig.stats(2, now).penalties == (v2 ? 0 : 1));
  }
}

TEST_CASE("spin, credit: a target that is ahead becomes eligible and runs next") {
  SchedulerRig rig(1, {{2, "v3"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.next(kW0, 900us) == kV1);
  CHECK(rig.s.spin(kW0, 1ms, true));
  CHECK(rig.stats(1, 1ms).credits == 1);
  CHECK(rig.next(kW0, 1ms) == kV0);
  rig.s.check();
}

TEST_CASE("spin, hier: the VM pays with its vCPU") {
  SchedulerRig rig(1, {{2, "hier"}, {1}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  CHECK(rig.s.spin(kW0, 0ns, true));
  // Half of the VM's queue yielded: half a slice.
  rig.s.inspect(kW0, [](RunQueue& queue) {
    const auto& eevdf = dynamic_cast<EevdfQueue&>(queue);
    CHECK(eevdf.timeline(GroupId{0}).owner()->vruntime == Vruntime{500'000});
  });
  CHECK(rig.next(kW0, 0ns) == kV2);
}
