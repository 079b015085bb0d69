// Yielding at the send: a sender that is known to wait for its receivers does not begin to spin.
#include <doctest/doctest.h>

#include "sched/learn/saturating_predictor.h"
#include "sched/policy/parse.h"
#include "sched/scheduler.h"
#include "support.h"

using namespace sched_test;

namespace {

constexpr VcpuId kSender{0};
constexpr VcpuId kReceiver{1};
constexpr IrqVector kVector{0x40};

// A VM of two vCPUs on one worker, where the receiver always waits when the sender sends.
class SendRig : public SchedulerRig {
 public:
  explicit SendRig(std::string_view policy) : SchedulerRig(1, {{2, policy}}) {
    start_all();
    turn_of(kSender);
  }

  // Sends; then spins, if it does that and has not left already; then the receiver acknowledges and the
  // sender is back. True: it left at the send.
  bool round(bool spins) {
    VcpuSet receivers(2);
    receivers.insert(index_of(kReceiver));
    s.ipi_sent(VmId{0}, {.sender = 0, .vector = kVector, .shorthand = false, .receivers = receivers}, now_);
    s.interrupt_posted(kReceiver, now_);
    const bool eager = s.sent(kW0, now_);
    if (eager) CHECK(next(kW0, now_) == kReceiver);
    if (!eager && spins) {
      pass(50us);
      REQUIRE(s.spin(kW0, now_, false));
      REQUIRE(next(kW0, now_) == kReceiver);
    }
    if (!eager && !spins) turn_of(kReceiver);
    s.interrupts_seen(kReceiver);
    pass(10us);
    s.eoi(kReceiver, kVector, now_);
    turn_of(kSender);
    pass(200us);
    s.tick(kW0, now_);
    return eager;
  }
  int eager_of(int rounds, bool spins) {
    int count = 0;
    for (int i = 0; i < rounds; ++i) count += round(spins);
    return count;
  }
  Nanos now() const { return now_; }

 private:
  void pass(Nanos time) { now_ += time; }
  void turn_of(VcpuId wanted) {
    for (VcpuId runs = on_ ? next(kW0, now_) : pick(kW0, now_); runs != wanted; runs = next(kW0, now_))
      pass(100us);
    on_ = true;
  }

  Nanos now_{};
  bool on_ = false;
};

}  // namespace

TEST_CASE("a sender that was seen to spin for its receiver yields at the send from then on") {
  SendRig rig("kvmux");
  CHECK(rig.eager_of(4, true) == 0);
  CHECK(rig.stats(0, rig.now()).spin_exits == 4);
  CHECK(rig.eager_of(10, true) == 10);
  CHECK(rig.stats(0, rig.now()).spin_exits == 4);
  CHECK(rig.stats(0, rig.now()).yields_done[static_cast<size_t>(YieldReason::kIpiReceiver)] >= 10);
}

TEST_CASE("a sender that goes on working is left alone") {
  SendRig rig("kvmux");
  CHECK(rig.eager_of(100, false) == 0);
}

TEST_CASE("a sender that waits no more is found out") {
  SendRig rig("kvmux");
  REQUIRE(rig.eager_of(20, true) > 0);
  // One send in sixteen is a probe, and of its eight points it may lose four.
  CHECK(rig.eager_of(200, false) < 5 * 16);
  CHECK(rig.eager_of(100, false) == 0);
}

TEST_CASE("yielding at the send is a feature of its own, and needs an IPI model") {
  for (const char* policy : {"kvmux,yield-on-send=off", "v2", "yield", "kvmux,ipi=none"}) {
    CAPTURE(policy);
    SendRig rig(policy);
    CHECK(rig.eager_of(20, true) == 0);
  }
}

TEST_CASE("a receiver that runs is waited for where the sender is") {
  SchedulerRig rig(2, {{2, "kvmux,pack=off"}, {2, "kvmux,pack=off"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kSender);
  REQUIRE(rig.pick(kW1, 0ns) == kReceiver);
  VcpuSet receivers(2);
  receivers.insert(1);
  for (Nanos now = 10us; now < 500us; now += 20us) {
    rig.s.ipi_sent(VmId{0}, {.sender = 0, .vector = kVector, .shorthand = false, .receivers = receivers},
                   now);
    CHECK_FALSE(rig.s.sent(kW0, now));
    rig.s.spin(kW0, now + 5us, false);
    rig.s.eoi(kReceiver, kVector, now + 10us);
  }
}

TEST_CASE("habit: what was foretold is not taken as seen") {
  SaturatingPredictor habit;
  for (int i = 0; i < 4; ++i) {
    CHECK_FALSE(habit.sends());
    habit.waits();
  }
  int foretold = 0;
  for (int i = 0; i < 15; ++i) foretold += habit.sends();
  CHECK(foretold == 15);
  CHECK_FALSE(habit.sends());  // the probe, which it does not answer
  CHECK_FALSE(habit.sends());  // three of four: no longer sure
}

TEST_CASE("turns are short while IPIs wait for vCPUs that wait, and long again soon after") {
  constexpr uint32_t kOfEach = 4;
  Setup setup = setup_of(1, {{kOfEach, "kvmux"}, {kOfEach, "kvmux"}});
  for (VmSetup& vm : setup.vms) vm.policy = *parse_policy("kvmux,slice-jitter=0");
  setup.tuning = setup.vms.front().policy.tuning;
  SchedulerRig rig(setup);
  rig.start_all();
  Nanos now{};
  // The length of the turn that begins now; it is used up.
  const auto turn = [&] {
    const auto begun = rig.s.pick(kW0, now);
    REQUIRE(begun);
    const Nanos length = begun->end - now;
    now = begun->end;
    while (rig.s.tick(kW0, now)) now += 100us;
    rig.s.put(kW0, now, false);
    return length;
  };
  const auto longest_of_round = [&] {
    Nanos longest{};
    for (uint32_t i = 0; i < 2 * kOfEach; ++i) longest = std::max(longest, turn());
    return longest;
  };
  const auto send = [&](uint32_t sender, uint32_t receiver) {
    VcpuSet receivers(kOfEach);
    receivers.insert(receiver);
    rig.s.ipi_sent(VmId{0}, {.sender = sender, .vector = kVector, .shorthand = false, .receivers = receivers},
                   now);
  };
  longest_of_round();
  CHECK(longest_of_round() == 6ms);
  // One in a while does not count for long, many do.
  for (uint32_t i = 0; i < 4 * kOfEach; ++i) {
    send(0, 1);
    send(1, 0);
    turn();
  }
  Nanos longest{};
  for (uint32_t i = 0; i < 2 * kOfEach; ++i) {
    send(0, 1);
    send(1, 0);
    longest = std::max(longest, turn());
  }
  CHECK(longest * (2 * kOfEach) == 12ms);
  for (int i = 0; i < 3; ++i) longest_of_round();
  CHECK(longest_of_round() == 6ms);
}

TEST_CASE("ipi-latency=0: turns do not care for IPIs") {
  const auto policy = parse_policy("kvmux,ipi-latency=0");
  REQUIRE(policy);
  CHECK(policy->tuning.ipi_latency == 0ms);
  CHECK(parse_policy("kvmux")->tuning.ipi_latency == 12ms);
  CHECK(parse_policy("v2")->tuning.ipi_latency == 0ms);
}
