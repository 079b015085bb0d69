// The scheduler's calls one by one, with what they ask of the host. Slices of 1 ms without jitter.
#include "sched/scheduler.h"

#include <doctest/doctest.h>

#include "support.h"

using namespace sched_test;
using Posted = Scheduler::Posted;

namespace {
constexpr VcpuId kV0{0};
constexpr VcpuId kV1{1};
constexpr VcpuId kV2{2};
}  // namespace

TEST_CASE("scheduler: vCPUs are spread over the workers in order of ids") {
  SchedulerRig rig(2, {{3}, {2}});
  CHECK(rig.s.workers() == 2);
  CHECK(rig.s.vcpus() == 5);
  CHECK(rig.s.vcpu_id(VmId{1}, 0) == VcpuId{3});
  CHECK(rig.s.vm_of(VcpuId{4}) == VmId{1});
  CHECK(rig.s.index_in_vm(VcpuId{4}) == 1);
  rig.start_all();
  for (uint32_t v = 0; v < 5; ++v) CHECK(rig.where(v) == WorkerId{v % 2});
  rig.s.inspect(kW0, [](RunQueue& queue) { CHECK(queue.runnable() == 3); });
  rig.s.inspect(kW1, [](RunQueue& queue) { CHECK(queue.runnable() == 2); });
}

TEST_CASE("scheduler: an idle worker is kicked by what arrives, once") {
  SchedulerRig rig(1, {{2}});
  CHECK(rig.pick(kW0, 0ns) == kNoVcpu);
  rig.s.start(kV0, 5us);
  CHECK(rig.host.take_kicks(kW0) == 1);
  rig.s.start(kV1, 5us);  // the worker is on its way already
  CHECK(rig.host.take_kicks(kW0) == 0);
  CHECK(rig.pick(kW0, 6us) == kV0);
}

TEST_CASE("scheduler: a tick is asked for only while somebody waits") {
  SchedulerRig rig(1, {{2}});
  rig.s.start(kV0, 0ns);
  const auto turn = rig.s.pick(kW0, 0ns);
  REQUIRE(turn);
  CHECK(turn->end == kForever);
  CHECK(rig.host.tick_of(kW0) == kForever);
  rig.s.start(kV1, 300us);
  CHECK(rig.host.tick_of(kW0) == 1ms);
  CHECK(rig.host.take_kicks(kW0) == 0);
  // A tick that comes early changes nothing but is asked for again.
  rig.host.armed.clear();
  const auto again = rig.s.tick(kW0, 900us);
  REQUIRE(again);
  CHECK(again->vcpu == kV0);
  CHECK(again->end == 1ms);
  CHECK(rig.host.tick_of(kW0) == 1ms);
  CHECK_FALSE(rig.s.tick(kW0, 1ms));
  CHECK(rig.next(kW0, 1ms) == kV1);
  CHECK(rig.host.tick_of(kW0) == 2ms);
}

TEST_CASE("scheduler: the tick is called off when nobody waits any more") {
  SchedulerRig rig(1, {{2}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.host.tick_of(kW0) == 1ms);
  rig.s.halt(kW0, 100us);
  CHECK(rig.pick(kW0, 100us) == kV1);
  CHECK(rig.host.tick_of(kW0) == kForever);
  rig.s.halt(kW0, 200us);
  CHECK(rig.pick(kW0, 200us) == kNoVcpu);
  CHECK(rig.host.tick_of(kW0) == kForever);
}

TEST_CASE("scheduler: put publishes where it waits, that it was preempted, and at which level") {
  SchedulerRig rig(1, {{2}});
  rig.start_all();
  CHECK(rig.state(0) == RunState::kQueued);
  CHECK_FALSE(rig.s.status(kV0).preempted());
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  CHECK(rig.state(0) == RunState::kRunning);
  rig.s.put(kW0, 1ms, true);
  CHECK(rig.state(0) == RunState::kQueued);
  CHECK(rig.s.status(kV0).preempted());
  CHECK(rig.s.status(kV0).preempted_in_kernel());
  REQUIRE(rig.pick(kW0, 1ms) == kV1);
  rig.s.put(kW0, 2ms, false);
  CHECK(rig.s.status(kV1).preempted());
  CHECK_FALSE(rig.s.status(kV1).preempted_in_kernel());
  REQUIRE(rig.pick(kW0, 2ms) == kV0);
  CHECK_FALSE(rig.s.status(kV0).preempted());
}

TEST_CASE("scheduler: halting and waking") {
  SchedulerRig rig(1, {{2}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  CHECK(rig.s.interrupt_posted(kV0, 10us) == Posted::kRunning);
  CHECK(rig.s.status(kV0).irq_pending());
  rig.s.interrupts_seen(kV0);
  CHECK_FALSE(rig.s.status(kV0).irq_pending());
  rig.s.halt(kW0, 100us);
  CHECK(rig.state(0) == RunState::kHalted);
  REQUIRE(rig.pick(kW0, 100us) == kV1);
  CHECK(rig.s.interrupt_posted(kV0, 200us) == Posted::kWoken);
  CHECK(rig.state(0) == RunState::kQueued);
  CHECK(rig.s.status(kV0).irq_pending());  // kept until it looks
  CHECK(rig.s.interrupt_posted(kV0, 210us) == Posted::kNothing);
  CHECK(rig.stats(0, 300us).wakeups == 1);
  CHECK_FALSE(rig.s.status(kV0).preempted());  // woken, not preempted
}

TEST_CASE("scheduler: the worker looks once more after halt() and wakes the vCPU itself") {
  SchedulerRig rig(1, {{1}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  rig.s.halt(kW0, 100us);
  CHECK(rig.s.interrupt_posted(kV0, 100us) == Posted::kWoken);
  CHECK(rig.pick(kW0, 100us) == kV0);
}

TEST_CASE("scheduler: what has not started, or has ended, does not wake") {
  SchedulerRig rig(1, {{2}});
  CHECK(rig.pick(kW0, 0ns) == kNoVcpu);
  CHECK(rig.s.interrupt_posted(kV1, 10us) == Posted::kNothing);  // a sibling was quicker than its start
  CHECK(rig.pick(kW0, 10us) == kNoVcpu);
  rig.s.start(kV1, 20us);
  CHECK(rig.pick(kW0, 20us) == kV1);
  CHECK(rig.s.status(kV1).irq_pending());
  rig.s.stop(kW0, 30us);
  CHECK(rig.state(1) == RunState::kStopped);
  CHECK(rig.s.interrupt_posted(kV1, 40us) == Posted::kNothing);
  CHECK(rig.pick(kW0, 40us) == kNoVcpu);
}

TEST_CASE("scheduler: a waker that is owed service makes the running worker look") {
  SchedulerRig rig(1, {{1}, {1}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.next(kW0, 1ms) == kV1);
  rig.s.halt(kW0, 1001us);  // owed half a millisecond
  REQUIRE(rig.pick(kW0, 1001us) == kV0);
  rig.host.kicks.clear();
  CHECK(rig.s.interrupt_posted(kV1, 2ms) == Posted::kWoken);
  CHECK(rig.host.take_kicks(kW0) == 1);
  CHECK_FALSE(rig.s.tick(kW0, 2001us));
  CHECK(rig.next(kW0, 2001us) == kV1);
}

TEST_CASE("scheduler: a waker that is owed nothing waits for the turn's end") {
  SchedulerRig rig(1, {{1}, {1}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  rig.s.halt(kW0, 500us);
  REQUIRE(rig.pick(kW0, 500us) == kV1);
  rig.host.kicks.clear();
  CHECK(rig.s.interrupt_posted(kV0, 600us) == Posted::kWoken);
  CHECK(rig.host.take_kicks(kW0) == 0);
  CHECK(rig.host.tick_of(kW0) == 1500us);
  CHECK(rig.s.tick(kW0, 700us).has_value());
}

TEST_CASE("scheduler: a vCPU's times add up, and the longest wait counts while it lasts") {
  SchedulerRig rig(1, {{2}});
  rig.start_all(1ms);
  const auto sum = [](const VcpuStats& stats) {
    return stats.times.running + stats.times.waiting + stats.times.halted + stats.times.stopped;
  };
  REQUIRE(rig.pick(kW0, 1200us) == kV0);
  CHECK(rig.stats(1, 1500us).times.waiting == 500us);
  CHECK(rig.stats(1, 1500us).worst_wait == 500us);  // so far
  REQUIRE(rig.next(kW0, 2200us) == kV1);
  rig.s.halt(kW0, 2300us);
  REQUIRE(rig.pick(kW0, 2300us) == kV0);
  REQUIRE(rig.s.interrupt_posted(kV1, 2700us) == Posted::kWoken);
  rig.s.put(kW0, 4ms, false);
  REQUIRE(rig.pick(kW0, 4ms) == kV1);
  rig.s.stop(kW0, 5ms);
  REQUIRE(rig.pick(kW0, 5ms) == kV0);

  const VcpuStats first = rig.stats(0, 6ms);
  CHECK(first.times.waiting == 200us + 100us + 1ms);
  CHECK(first.times.running == 1ms + 1700us + 1ms);
  CHECK(first.worst_wait == 1ms);
  CHECK(first.switches_in == 3);
  CHECK(first.preemptions == 2);
  CHECK(sum(first) == 5ms);
  const VcpuStats second = rig.stats(1, 6ms);
  CHECK(second.times.running == 100us + 1ms);
  CHECK(second.times.waiting == 1200us + 1300us);
  CHECK(second.times.halted == 400us);
  CHECK(second.times.stopped == 1ms);
  CHECK(second.worst_wait == 1300us);
  CHECK(second.wakeups == 1);
  CHECK(sum(second) == 5ms);
}

TEST_CASE("scheduler: IPIs and EOIs are counted and reach the VM's model") {
  SchedulerRig rig(1, {{4, "v3"}});
  VcpuSet receivers(4);
  receivers.insert(1);
  receivers.insert(2);
  rig.s.ipi_sent(VmId{0}, {0, IrqVector{0x40}, false, receivers}, 0ns);
  rig.s.eoi(kV1, IrqVector{0x40}, 1us);
  CHECK(rig.stats(0, 1us).ipis_sent == 2);
  CHECK(rig.stats(1, 1us).eois == 1);
}

TEST_CASE("scheduler: round robin and gang run through the same calls") {
  for (const char* preset : {"rr", "gang"}) {
    CAPTURE(preset);
    SchedulerRig rig(2, {{2, preset}, {2, preset}});
    rig.start_all();
    std::map<VcpuId, Nanos> service;
    for (Nanos now{}; now < 64ms; now += 1ms) {
      for (const WorkerId worker : {kW0, kW1}) {
        const VcpuId ran = rig.pick(worker, now);
        REQUIRE(ran != kNoVcpu);
        CHECK(rig.s.tick(worker, now + 1ms) == std::nullopt);
        rig.s.put(worker, now + 1ms, false);
        service[ran] += 1ms;
      }
    }
    for (uint32_t v = 0; v < 4; ++v) CHECK(service[VcpuId{v}] == 32ms);
  }
}

TEST_CASE("scheduler: groups of VMs have their weights") {
  Setup setup = setup_of(1, {{1}, {1}, {1}});
  setup.groups = {{"prod", kRootGroup, Weight{3072}}, {"prod/web", GroupId{0}, Weight{1024}}};
  setup.vms[0].parent = GroupId{1};
  setup.vms[1].parent = GroupId{0};
  SchedulerRig rig(setup);
  rig.start_all();
  std::map<VcpuId, Nanos> service;
  Nanos now{};
  while (now < 320ms) {
    const auto turn = rig.s.pick(kW0, now);
    REQUIRE(turn);
    service[turn->vcpu] += turn->end - now;
    now = turn->end;
    REQUIRE_FALSE(rig.s.tick(kW0, now));
    rig.s.put(kW0, now, false);
  }
  // prod has three quarters, halved between web's VM and the other.
  CHECK(std::abs((service[kV0] - 120ms).count()) <= 4'000'000);
  CHECK(std::abs((service[kV1] - 120ms).count()) <= 4'000'000);
  CHECK(std::abs((service[kV2] - 80ms).count()) <= 4'000'000);
  rig.s.check();
}
