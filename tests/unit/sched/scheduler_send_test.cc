// Yielding at the send: a sender that is known to wait for its receivers does not begin to spin.
#include <doctest/doctest.h>

#include <string>

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

namespace {

// Two VMs of four vCPUs on one worker, all computing.
class RoundRig : public SchedulerRig {
 public:
  explicit RoundRig(const std::string& policy) : SchedulerRig(setup(policy)) {
    start_all();
    longest_of_round();
  }
  static constexpr uint32_t kOfEach = 4;
  static constexpr uint32_t kAll = 2 * kOfEach;

  // Of as many turns as there are vCPUs, each used up. With IPIs: two before each turn, one of which finds its
  // receiver waiting.
  Nanos longest_of_round(bool with_ipis = false) {
    Nanos longest{};
    for (uint32_t i = 0; i < kAll; ++i) {
      if (with_ipis) send(0, 1);
      if (with_ipis) send(1, 0);
      longest = std::max(longest, turn());
    }
    return longest;
  }

 private:
  static Setup setup(const std::string& policy) {
    Setup setup = setup_of(1, {{kOfEach, "kvmux"}, {kOfEach, "kvmux"}});
    for (VmSetup& vm : setup.vms) vm.policy = *parse_policy(policy);
    setup.tuning = setup.vms.front().policy.tuning;
    return setup;
  }
  Nanos turn() {
    const auto begun = s.pick(kW0, now_);
    REQUIRE(begun);
    const Nanos length = begun->end - now_;
    now_ = begun->end;
    while (s.tick(kW0, now_)) now_ += 100us;
    s.put(kW0, now_, false);
    return length;
  }
  void send(uint32_t sender, uint32_t receiver) {
    VcpuSet receivers(kOfEach);
    receivers.insert(receiver);
    s.ipi_sent(VmId{0}, {.sender = sender, .vector = kVector, .shorthand = false, .receivers = receivers}, now_);
  }

  Nanos now_{};
};

}  // namespace

TEST_CASE("turns are short while IPIs wait for vCPUs that wait, and long again soon after") {
  RoundRig rig("kvmux,slice-jitter=0");
  CHECK(rig.longest_of_round() * RoundRig::kAll == 48ms);
  for (int i = 0; i < 2; ++i) rig.longest_of_round(true);  // long requests that are under way end
  CHECK(rig.longest_of_round(true) * RoundRig::kAll == 12ms);
  for (int i = 0; i < 3; ++i) rig.longest_of_round();
  CHECK(rig.longest_of_round() * RoundRig::kAll == 48ms);
}

TEST_CASE("ipi-latency=0: turns do not care for IPIs, and no preset but ours does") {
  RoundRig rig("kvmux,slice-jitter=0,ipi-latency=0");
  for (int i = 0; i < 2; ++i) rig.longest_of_round(true);
  CHECK(rig.longest_of_round(true) * RoundRig::kAll == 48ms);
  CHECK(parse_policy("v2")->tuning.ipi_latency == 0ms);
}
