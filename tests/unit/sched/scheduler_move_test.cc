// Where vCPUs go: waking, stealing, balancing. Slices of 1 ms without jitter; a move costs 20 µs.
#include <doctest/doctest.h>

#include "sched/scheduler.h"
#include "support.h"

using namespace sched_test;

namespace {
constexpr VcpuId kV0{0};
constexpr VcpuId kV1{1};
constexpr VcpuId kV2{2};
constexpr VcpuId kV3{3};
}  // namespace

TEST_CASE("waking: to its last worker if that is idle, else to one that is, else to its last") {
  SchedulerRig rig(3, {{4}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  rig.s.halt(kW0, 10us);
  REQUIRE(rig.pick(kW0, 10us) == kV3);
  REQUIRE(rig.pick(kW1, 10us) == kV1);
  REQUIRE(rig.pick(kW2, 10us) == kV2);
  SUBCASE("all busy: where it ran last") {
    rig.s.interrupt_posted(kV0, 20us);
    CHECK(rig.where(0) == kW0);
  }
  SUBCASE("another is idle") {
    rig.s.halt(kW2, 20us);
    REQUIRE(rig.pick(kW2, 20us) == kNoVcpu);
    rig.s.interrupt_posted(kV0, 30us);
    CHECK(rig.where(0) == kW2);
    CHECK(rig.host.take_kicks(kW2) == 1);
    CHECK(rig.pick(kW2, 31us) == kV0);
    CHECK(rig.stats(0, 31us).migrations == 1);
  }
  SUBCASE("its last is idle") {
    for (const WorkerId worker : {kW0, kW2}) {
      rig.s.halt(worker, 20us);
      REQUIRE(rig.pick(worker, 20us) == kNoVcpu);
    }
    rig.s.interrupt_posted(kV0, 30us);
    CHECK(rig.where(0) == kW0);
    CHECK(rig.stats(0, 30us).migrations == 0);
  }
}

TEST_CASE("waking: a burst goes to as many idle workers as there are") {
  SchedulerRig rig(3, {{7}});
  const VcpuId burst[] = {VcpuId{0}, VcpuId{3}, VcpuId{6}};  // all of worker 0
  for (const VcpuId vcpu : burst) rig.s.start(vcpu, 0ns);
  for (size_t i = 0; i < std::size(burst); ++i) {
    REQUIRE(rig.pick(kW0, 0ns) != kNoVcpu);
    rig.s.halt(kW0, 1us);
  }
  for (const WorkerId worker : {kW0, kW1, kW2}) REQUIRE(rig.pick(worker, 2ms) == kNoVcpu);
  rig.host.kicks.clear();
  for (const VcpuId vcpu : burst) rig.s.interrupt_posted(vcpu, 3ms);
  for (const WorkerId worker : {kW0, kW1, kW2}) {
    CHECK(rig.host.take_kicks(worker) == 1);
    CHECK(rig.pick(worker, 3ms) != kNoVcpu);
  }
}

TEST_CASE("starting: an idle worker gets it rather than a busy one") {
  SchedulerRig rig(2, {{3}});
  rig.s.start(kV0, 0ns);
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.pick(kW1, 0ns) == kNoVcpu);
  rig.s.start(kV2, 1us);
  CHECK(rig.host.take_kicks(kW1) == 1);
  CHECK(rig.pick(kW1, 1us) == kV2);
}

TEST_CASE(
    "stealing: an idle worker takes who waits elsewhere, and leaves one to a worker between two picks") {
  SchedulerRig rig(2, {{4}});
  rig.s.start(kV0, 0ns);
  rig.s.start(kV2, 0ns);
  CHECK(rig.pick(kW1, 0ns) == kV0);  // worker 0 has not picked yet: of its two, one is left to it
  CHECK(rig.pick(kW0, 0ns) == kV2);
  rig.s.halt(kW1, 100us);
  CHECK(rig.pick(kW1, 100us) == kNoVcpu);
  rig.s.put(kW0, 200us, false);  // the only one there
  CHECK(rig.pick(kW1, 200us) == kNoVcpu);
  CHECK(rig.pick(kW0, 200us) == kV2);
}

TEST_CASE("stealing: a warm vCPU moves if it would wait longer than the move costs") {
  SchedulerRig rig(2, {{3}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.pick(kW1, 0ns) == kV1);
  REQUIRE(rig.next(kW0, 500us) == kV2);  // vCPU 0 has just left the worker
  rig.s.halt(kW1, 505us);
  SUBCASE("a whole turn to wait") { CHECK(rig.pick(kW1, 505us) == kV0); }
  SUBCASE("the turn ends in a moment") {
    const Nanos end = rig.host.tick_of(kW0);
    rig.s.interrupt_posted(kV1, 506us);
    REQUIRE(rig.pick(kW1, 506us) == kV1);
    REQUIRE_FALSE(rig.s.tick(kW0, end));
    REQUIRE(rig.next(kW0, end) == kV0);
    const Nanos next_end = rig.host.tick_of(kW0);
    rig.s.halt(kW1, next_end - 10us);
    CHECK(rig.pick(kW1, next_end - 10us) == kV2);  // cold: it ran a turn ago
  }
}

TEST_CASE("stealing: no worker stays idle while a vCPU waits for turn after turn") {
  SchedulerRig rig(2, {{3}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.pick(kW1, 0ns) == kV1);
  REQUIRE(rig.next(kW0, 1ms) == kV2);
  rig.s.stop(kW1, 1ms + 1us);  // at that instant the only one who waits is warm
  VcpuId stolen = rig.pick(kW1, 1ms + 1us);
  // Turns go on, and a kicked worker picks, in either order.
  for (Nanos now = 2ms; now < 5ms && stolen == kNoVcpu; now += 1ms) {
    static_cast<void>(rig.s.tick(kW0, now));
    rig.s.put(kW0, now, false);
    if (rig.host.take_kicks(kW1) > 0) stolen = rig.pick(kW1, now);
    REQUIRE(rig.pick(kW0, now) != kNoVcpu);
  }
  CHECK(stolen != kNoVcpu);
}

TEST_CASE("put: an idle worker is called when somebody will wait") {
  SchedulerRig rig(2, {{3}});
  rig.s.start(kV0, 0ns);
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.next(kW0, 1ms) == kV0);
  rig.s.start(kV2, 1ms);
  REQUIRE(rig.pick(kW1, 1ms) == kV2);  // stolen
  rig.s.stop(kW1, 2ms);
  REQUIRE(rig.pick(kW1, 2ms) == kNoVcpu);
  rig.host.kicks.clear();
  REQUIRE(rig.next(kW0, 3ms) == kV0);
  CHECK(rig.host.kicks.empty());  // nobody waits
}

TEST_CASE("dear moves: vCPUs stay where they started and nobody is called to take them") {
  Setup setup = setup_of(2, {{3}});
  setup.tuning.migration_cost = 100ms;
  SchedulerRig rig(setup);
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.pick(kW1, 0ns) == kV1);
  rig.s.halt(kW1, 10us);
  REQUIRE(rig.pick(kW1, 50ms) == kNoVcpu);
  rig.host.kicks.clear();
  REQUIRE(rig.next(kW0, 50ms) == kV2);
  CHECK(rig.host.take_kicks(kW1) == 0);
  rig.s.halt(kW0, 51ms);
  rig.s.interrupt_posted(kV2, 51ms);
  CHECK(rig.where(2) == kW0);
}

TEST_CASE("gang: the plan decides, nobody moves and nobody is called") {
  SchedulerRig rig(2, {{2, "gang"}, {2, "gang"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) != kNoVcpu);
  const VcpuId running = rig.pick(kW1, 0ns);
  rig.s.halt(kW1, 1us);
  const VcpuId filler = rig.pick(kW1, 1us);
  REQUIRE(filler != kNoVcpu);
  rig.s.halt(kW1, 2us);
  REQUIRE(rig.pick(kW1, 2us) == kNoVcpu);
  rig.host.kicks.clear();
  REQUIRE(rig.next(kW0, 1ms) != kNoVcpu);
  CHECK(rig.host.kicks.empty());
  rig.s.interrupt_posted(running, 1100us);
  CHECK(rig.s.status(running).worker() == kW1);
}

TEST_CASE("balancing: a worker that picks takes from a busier one") {
  SchedulerRig rig(2, {{1}, {1}, {1}, {1}, {1}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.pick(kW1, 0ns) == kV1);
  rig.s.stop(kW1, 1ms);  // 3 on worker 1; 0, 2 and 4 on worker 0
  REQUIRE(rig.pick(kW1, 1ms) == kV3);
  REQUIRE(rig.next(kW0, 1ms) == kV2);
  // A worker that runs alone has no turn end, so the busy one gives.
  for (Nanos now = 2ms; now <= 25ms; now += 1ms) {
    static_cast<void>(rig.s.tick(kW0, now));
    REQUIRE(rig.next(kW0, now) != kNoVcpu);
  }
  const auto runnable = [](RunQueue& queue) { return queue.runnable(); };
  CHECK(rig.s.inspect(kW0, runnable) == 2);
  CHECK(rig.s.inspect(kW1, runnable) == 2);
  CHECK(rig.host.tick_of(kW1) != kForever);  // it is contested now
}

TEST_CASE("balancing: not before its interval, and not for a move that would only turn the tables") {
  SchedulerRig rig(2, {{1, "fair", Weight{4096}}, {1}, {1, "fair", Weight{1024}}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);  // with vCPU 2: loads 5120 and 1024
  REQUIRE(rig.pick(kW1, 0ns) == kV1);
  Nanos now{};
  VcpuId running = kV0;
  for (now = 1ms; now < 9ms; now += 1ms) running = rig.next(kW0, now);
  CHECK(rig.where(2) == kW0);
  for (; now < 40ms; now += 1ms) {
    static_cast<void>(rig.s.tick(kW0, now));
    running = rig.next(kW0, now);
    REQUIRE(running != kNoVcpu);
  }
  CHECK(rig.where(2) == kW1);  // the light one moved
  CHECK(rig.where(0) == kW0);  // moving 4096 would have made it 1024 and 5120
}

TEST_CASE("balancing: three equal vCPUs take turns at having a worker alone") {
  SchedulerRig rig(2, {{1}, {1}, {1}});
  rig.start_all();
  std::map<VcpuId, Nanos> service;
  for (const WorkerId w : {kW0, kW1}) REQUIRE(rig.pick(w, 0ns) != kNoVcpu);
  VcpuId running[] = {kV0, kV1};
  for (Nanos now = 1ms; now <= 1s; now += 1ms) {
    for (const WorkerId w : {kW0, kW1}) {
      VcpuId& mine = running[index_of(w)];
      service[mine] += 1ms;
      if (!rig.s.tick(w, now)) mine = rig.next(w, now);
      REQUIRE(mine != kNoVcpu);
    }
  }
  for (uint32_t v = 0; v < 3; ++v) {
    CHECK(service[VcpuId{v}] >= 600ms);  // of 667
    CHECK(service[VcpuId{v}] <= 740ms);
  }
  rig.s.check();
}

TEST_CASE("counted: any moment's counters, and moves by their reason") {
  SchedulerRig rig(2, {{3}});
  rig.start_all();
  CHECK(rig.s.counted(VcpuId{0}).switches_in == 0);
  REQUIRE(rig.pick(kW0, 0ns) == VcpuId{0});
  REQUIRE(rig.pick(kW1, 0ns) == VcpuId{1});
  CHECK(rig.s.counted(VcpuId{0}).switches_in == 1);
  CHECK(rig.s.counted(VcpuId{0}).times.running == 0ns);  // as of its last change of state
  rig.s.put(kW0, 1ms, false);
  CHECK(rig.s.counted(VcpuId{0}).times.running == 1ms);
  CHECK(rig.s.counted(VcpuId{0}).times.running == rig.stats(0, 1ms).times.running);
  CHECK(rig.s.moves_made(TraceMove::kSteal) == 0);
  rig.s.stop(kW1, 5ms);  // and takes the one that waits on the other worker
  REQUIRE(rig.pick(kW1, 5ms) != kNoVcpu);
  CHECK(rig.s.moves_made(TraceMove::kSteal) == 1);
  CHECK(rig.s.moves_made(TraceMove::kPull) == 0);
}
