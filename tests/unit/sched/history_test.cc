#include "sched/base/history.h"

#include <doctest/doctest.h>

#include "support.h"

using namespace sched_test;

namespace {

constexpr WorkerId kHere{0};
constexpr WorkerId kThere{1};

}  // namespace

TEST_CASE("history: times add up by state, and a move does not begin a wait anew") {
  StateHistory history;
  CHECK(history.now().state == RunState::kNew);
  CHECK(history.entries().empty());
  history.note(RunState::kQueued, Nanos{1'000}, kHere);
  history.note(RunState::kQueued, Nanos{1'100}, kThere);
  CHECK(history.now().since == Nanos{1'000});
  CHECK(history.now().worker == kThere);
  history.note(RunState::kRunning, Nanos{1'500}, kThere);
  history.note(RunState::kHalted, Nanos{1'800}, kThere);
  history.note(RunState::kQueued, Nanos{2'800}, kHere);
  const StateHistory::Moment moment = history.now();
  CHECK(moment.state == RunState::kQueued);
  CHECK(moment.since == Nanos{2'800});
  CHECK(moment.times.waiting == Nanos{500});
  CHECK(moment.times.running == Nanos{300});
  CHECK(moment.times.halted == Nanos{1'000});
  CHECK(moment.times.stopped == Nanos{0});
  const auto entries = history.entries();
  REQUIRE(entries.size() == 5);
  CHECK(entries[0] == StateHistory::Entry{RunState::kQueued, kHere, Nanos{1'000}});
  CHECK(entries[1] == StateHistory::Entry{RunState::kQueued, kThere, Nanos{1'100}});
  CHECK(entries[3] == StateHistory::Entry{RunState::kHalted, kThere, Nanos{1'800}});
}

TEST_CASE("history: the last twenty are kept, however many there were") {
  StateHistory history;
  for (int i = 1; i <= 1'000; ++i)
    history.note(i % 2 == 0 ? RunState::kRunning : RunState::kQueued, Nanos{i}, kHere);
  const auto entries = history.entries();
  REQUIRE(entries.size() == StateHistory::kKept);
  CHECK(entries.front().at == Nanos{981});
  CHECK(entries.back() == StateHistory::Entry{RunState::kRunning, kHere, Nanos{1'000}});
}

TEST_CASE("history: a scheduler's vCPU is where its statistics say, for just as long") {
  SchedulerRig rig(1, {{2}});
  rig.start_all(10us);
  REQUIRE(rig.pick(kW0, 20us) == VcpuId{0});
  rig.s.halt(kW0, 50us);
  REQUIRE(rig.pick(kW0, 60us) == VcpuId{1});
  rig.s.interrupt_posted(VcpuId{0}, 90us);
  rig.s.put(kW0, 100us, false);
  for (const VcpuId vcpu : {VcpuId{0}, VcpuId{1}}) {
    const StateHistory::Moment moment = rig.s.history(vcpu).now();
    const StateTimes times = rig.s.stats(vcpu, 100us).times;
    CHECK(moment.state == RunState::kQueued);
    CHECK(moment.times.running == times.running);
    CHECK(moment.times.halted == times.halted);
    CHECK(moment.times.waiting + (100us - moment.since) == times.waiting);
  }
  CHECK(rig.s.history(VcpuId{0}).now().since == 90us);
  CHECK(rig.s.history(VcpuId{1}).now().since == 100us);
}

TEST_CASE("a look at a queue: who is on it, in order of deadlines, and what it is owed") {
  SchedulerRig rig(2, {{3}, {2}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == VcpuId{0});
  QueueLook look;
  REQUIRE(rig.s.try_look(kW0, look));
  CHECK(look.is_eevdf);
  CHECK(!look.idle);
  CHECK(look.runnable == 3);
  REQUIRE(look.vcpus.size() == 3);  // 0, 2 and 4 are dealt to worker 0
  uint32_t current = 0;
  for (const QueuedVcpu& queued : look.vcpus) {
    CHECK(index_of(queued.vcpu) % 2 == 0);
    current += queued.is_current ? 1 : 0;
    CHECK(queued.is_current == (queued.vcpu == VcpuId{0}));
  }
  CHECK(current == 1);
  for (size_t i = 1; i < look.vcpus.size(); ++i) CHECK(look.vcpus[i - 1].deadline <= look.vcpus[i].deadline);
  // The lock's holder is not waited for.
  const bool seen = rig.s.inspect(kW0, [&](RunQueue&) { return rig.s.try_look(kW1, look); });
  CHECK(seen);
  CHECK(!look.vcpus.empty());
}

TEST_CASE("a planted fault: every second wake-up of a halted vCPU is forgotten, no other") {
  Setup planted = setup_of(1, {{1}});
  planted.loses_wakeups = 2;
  SchedulerRig rig(planted);
  rig.start_all();
  REQUIRE(rig.pick(kW0, 20us) == VcpuId{0});
  CHECK(rig.s.interrupt_posted(VcpuId{0}, 30us) == Scheduler::Posted::kRunning);
  rig.s.halt(kW0, 40us);
  CHECK(rig.s.interrupt_posted(VcpuId{0}, 50us) == Scheduler::Posted::kWoken);
  REQUIRE(rig.pick(kW0, 60us) == VcpuId{0});
  rig.s.halt(kW0, 70us);
  CHECK(rig.s.interrupt_posted(VcpuId{0}, 80us) == Scheduler::Posted::kNothing);
  CHECK(rig.state(0) == RunState::kHalted);
}
