// Policies that change between turns: what is taken over, where vCPUs go, what is remembered.
#include <doctest/doctest.h>

#include <array>

#include "sched/scheduler.h"
#include "support.h"

using namespace sched_test;

namespace {

std::vector<Policy> twice(std::string_view text) { return {policy_of(text), policy_of(text)}; }

// Spin exits of the vCPU that runs there, far apart, so that each is a wait of its own. Did one of them
// yield?
bool yields_when_spinning(SchedulerRig& rig, WorkerId worker, Nanos now) {
  const uint64_t before = rig.stats(0, now).yields_tried + rig.stats(1, now).yields_tried +
                          rig.stats(2, now).yields_tried + rig.stats(3, now).yields_tried;
  static_cast<void>(rig.s.spin(worker, now, true));
  const uint64_t after = rig.stats(0, now).yields_tried + rig.stats(1, now).yields_tried +
                         rig.stats(2, now).yields_tried + rig.stats(3, now).yields_tried;
  return after > before;
}

}  // namespace

TEST_CASE("change: from then on a spin exit does what the new policy says, and back again") {
  SchedulerRig rig(1, {{2, "fair"}, {2, "fair"}});
  rig.start_all();
  static_cast<void>(rig.pick(kW0, 0us));
  CHECK_FALSE(yields_when_spinning(rig, kW0, 100us));
  static_cast<void>(rig.next(kW0, 200us));
  rig.s.change_policies(twice("yield"), 200us);
  CHECK(rig.s.policy(VmId{1}).features.spin);
  CHECK(yields_when_spinning(rig, kW0, 300us));
  static_cast<void>(rig.next(kW0, 400us));
  rig.s.change_policies(twice("fair"), 400us);
  CHECK_FALSE(yields_when_spinning(rig, kW0, 500us));
  rig.s.check();
}

TEST_CASE("change: the next requests are of the new slice") {
  SchedulerRig rig(1, {{2, "fair"}});
  rig.start_all();
  static_cast<void>(rig.pick(kW0, 0us));
  CHECK(rig.host.tick_of(kW0) == 1ms);
  rig.s.put(kW0, 1ms, false);
  std::vector<Policy> longer{policy_of("fair")};
  longer[0].tuning.slice = 4ms;
  rig.s.change_policies(longer, 1ms);
  Nanos now = 1ms;
  Nanos turn{};
  for (int i = 0; i < 6; ++i) {  // what was asked for before is served first
    static_cast<void>(rig.pick(kW0, now));
    turn = rig.host.tick_of(kW0) - now;
    now = rig.host.tick_of(kW0);
    rig.s.put(kW0, now, false);
  }
  CHECK(turn == 4ms);
  rig.s.check();
}

TEST_CASE("change: VMs go home when a policy keeps them whole, and are dealt out when it does not") {
  SchedulerRig rig(2, {{2, "yield"}, {2, "yield"}});
  rig.start_all();
  CHECK(rig.where(0) != rig.where(1));
  rig.s.change_policies(twice("kvmux"), 10us);
  CHECK(rig.where(0) == rig.where(1));
  CHECK(rig.where(2) == rig.where(3));
  CHECK(rig.where(0) != rig.where(2));
  rig.s.check();
  rig.s.change_policies(twice("yield"), 20us);
  CHECK(rig.where(0) == kW0);
  CHECK(rig.where(1) == kW1);
  CHECK(rig.where(2) == kW0);
  CHECK(rig.where(3) == kW1);
  rig.s.check();
}

TEST_CASE("change: whoever sleeps wakes at its new place, whoever runs goes there after its turn") {
  SchedulerRig rig(2, {{2, "yield"}, {2, "yield"}});
  rig.start_all();
  const VcpuId on0 = rig.pick(kW0, 0us);
  const VcpuId on1 = rig.pick(kW1, 0us);
  rig.s.halt(kW0, 10us);
  static_cast<void>(rig.pick(kW0, 10us));
  rig.s.change_policies(twice("kvmux"), 20us);
  CHECK(rig.state(index_of(on1)) == RunState::kRunning);
  CHECK(rig.where(index_of(on1)) == kW1);
  for (Nanos now = 1ms; now < 60ms; now += 1ms) {
    for (const WorkerId worker : {kW0, kW1}) {
      if (!rig.s.tick(worker, now)) static_cast<void>(rig.next(worker, now));
    }
    if (now == 5ms) CHECK(rig.s.interrupt_posted(on0, now) == Scheduler::Posted::kWoken);
  }
  CHECK(rig.where(0) == rig.where(1));
  CHECK(rig.where(2) == rig.where(3));
  rig.s.check();
}

TEST_CASE("change: what is on its way is forgotten, what was learned comes back with the policy") {
  SchedulerRig rig(2, {{2, "v3"}});
  rig.start_all();
  const VcpuSet receivers = [] {
    VcpuSet set(2);
    set.insert(1);
    return set;
  }();
  rig.s.ipi_sent(VmId{0},
                 {.sender = 0, .vector = IrqVector{0x40}, .shorthand = false, .receivers = receivers}, 1us);
  rig.s.change_policies(std::vector{policy_of("yield")}, 2us);
  rig.s.eoi(VcpuId{1}, IrqVector{0x40}, 3us);  // of a send that nobody remembers
  rig.s.change_policies(std::vector{policy_of("v3")}, 4us);
  rig.s.eoi(VcpuId{1}, IrqVector{0x40}, 5us);
  rig.s.check();
  CHECK(rig.s.policy(VmId{0}).features.ipi == IpiModelKind::kV3);
}

TEST_CASE("an epoch of a trial does not count the time in which its policy was away") {
  Trial here({.epoch = 2, .try_every = 2, .clearly = 125});
  Trial away({.epoch = 2, .try_every = 2, .clearly = 125});
  const auto exits = [](Trial& test, std::initializer_list<Nanos> at) {
    for (const Nanos now : at) test.count_exit(now);
  };
  // The first way lasts 10 ms, the other 5 ms: the first stays. Away for a second within the other's epoch,
  // it would seem to last longer.
  exits(here, {0ms, 10ms, 12ms, 15ms});
  exits(away, {0ms, 10ms, 12ms});
  away.skip(1s);
  exits(away, {1015ms});
  CHECK(here.way() == away.way());
  CHECK(away.way() == 0);
}

TEST_CASE("policies are the same by what they do, not by name") {
  CHECK(is_same_policy(*parse_policy("v2"), *parse_policy("v2,deboost=on")));
  CHECK_FALSE(is_same_policy(*parse_policy("v2"), *parse_policy("v2,deboost=off")));
  CHECK_FALSE(is_same_policy(*parse_policy("v2"), *parse_policy("v2,ipi-window=10ms")));
  CHECK_FALSE(is_same_policy(*parse_policy("fair"), *parse_policy("rr")));
}

TEST_CASE("change: a trace says whose policy changes, and that of nobody else") {
  struct Sink final : TraceSink {
    void record(const TraceEvent& event) override {
      if (event.kind == TraceKind::kPolicy) events.push_back(event);
    }
    std::vector<TraceEvent> events;
  };
  Sink sink;
  SchedulerRig rig(1, {{2, "fair"}, {2, "fair"}});
  rig.s.trace_into(&sink);
  rig.s.change_policies(std::array{policy_of("fair"), policy_of("yield")}, 10us);
  rig.s.change_policies(std::array{policy_of("fair"), policy_of("v2")}, 20us);
  rig.s.change_policies(std::array{policy_of("v2"), policy_of("v2")}, 30us);
  REQUIRE(sink.events.size() == 3);
  CHECK(sink.events[0].vcpu == 2);
  CHECK(sink.events[1].vcpu == 2);
  CHECK(sink.events[1].value == 2);
  CHECK(sink.events[1].at == 20'000);
  CHECK(sink.events[2].vcpu == 0);
  CHECK(sink.events[2].value == 1);
}
