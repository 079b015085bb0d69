// What the scheduler writes down of yields and IPIs: when, of whom, and until when it holds. Slices of 1 ms
// without jitter.
#include <doctest/doctest.h>

#include "sched/ipi/kvmux.h"
#include "sched/ipi/pair.h"
#include "sched/scheduler.h"
#include "support.h"

using namespace sched_test;

namespace {

constexpr VcpuId kV0{0};
constexpr VcpuId kV1{1};
constexpr VcpuId kV2{2};
constexpr IrqVector kCall{0x40};
constexpr IrqVector kTimer{0x31};

VcpuSet set_of(uint32_t capacity, std::initializer_list<uint32_t> members) {
  VcpuSet set(capacity);
  for (const uint32_t member : members) set.insert(member);
  return set;
}

}  // namespace

TEST_CASE("record: a spin exit at the end of a turn is a yield, and the spinner is no lock holder") {
  SchedulerRig rig(1, {{2, "kvmux"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  const Nanos end = rig.host.tick_of(kW0);
  CHECK(rig.s.spin(kW0, end, false, Wait::kBegins));
  CHECK(rig.s.status(kV0).spinning());
  CHECK(rig.stats(0, end).yields_tried == 1);
  REQUIRE(rig.next(kW0, end) == kV1);
  CHECK(rig.s.spin(kW0, end + 100us, false, Wait::kBegins));
  CHECK(rig.stats(1, end + 100us).yields_done[static_cast<size_t>(YieldReason::kHolder)] == 0);
}

TEST_CASE("record: run queues that carry no yield take every reason to yield") {
  for (const std::string_view queue : {"rr", "gang"}) {
    CAPTURE(queue);
    Setup setup = setup_of(1, {{2, queue}});
    Features& features = setup.vms[0].policy.features;
    const QueueKind kind = features.queue;
    features = policy_of("kvmux").features;
    features.queue = kind;
    SchedulerRig rig(setup);
    rig.start_all();
    const VcpuId first = rig.pick(kW0, 0ns);
    REQUIRE(first != kNoVcpu);
    Nanos now{};
    const VcpuSet receivers = set_of(2, {1 - index_of(first)});
    for (int round = 0; round < 50; ++round) {  // until it is known to wait for those to whom it sends
      rig.s.ipi_sent(VmId{0}, {index_of(first), kCall, false, receivers}, now);
      if (rig.s.sent(kW0, now) || rig.s.spin(kW0, now += 10us, false)) break;
    }
    CHECK(rig.stats(index_of(first), now).yields_tried == 0);
    rig.s.tick(kW0, 10ms);
    CHECK(rig.s.spin(kW0, 10ms, false));  // its turn is over
    const VcpuId second = rig.next(kW0, 10ms);
    if (queue == "rr") CHECK(second != first);
  }
}

TEST_CASE("record: who has gone on is not resumed by the turn that it once lent") {
  SchedulerRig rig(2, {{3, "kvmux,affinity=off,pack=off"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.pick(kW1, 0ns) == kV1);
  REQUIRE(rig.next(kW0, 100us) == kV2);  // vCPU 0 is taken off in mid-work
  REQUIRE(rig.s.spin(kW0, 200us, false, Wait::kBegins));
  REQUIRE(rig.next(kW0, 200us) == kV0);  // on loan
  rig.s.halt(kW1, 240us);
  REQUIRE(rig.pick(kW1, 250us) == kV2);  // the lender has found another worker
  CHECK(rig.s.tick(kW0, 300us));         // so the borrower goes on
  rig.s.interrupt_posted(kV1, 400us);
  Nanos now = 3ms;
  rig.s.tick(kW1, now);
  for (VcpuId on = rig.next(kW1, now); on != kV2; on = rig.next(kW1, now)) rig.s.tick(kW1, now += 1ms);
  REQUIRE(rig.s.spin(kW1, now += 100us, false, Wait::kBegins));
  rig.s.put(kW1, now, false);
  rig.pick(kW1, now);
  rig.host.kicks.clear();
  const WorkerId lender_at = rig.where(2);
  rig.s.eoi(kV0, kTimer, now + 100us);  // of a timer: nobody waits for it
  CHECK(rig.host.take_kicks(lender_at) == 0);
}

TEST_CASE("record: a yield that lends nothing ends what an earlier one lent to the same target") {
  // Loans, until both VMs have learned that they do not pay, leave nothing behind.
  SchedulerRig rig(1, {{3, "kvmux"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == kV0);
  REQUIRE(rig.next(kW0, 100us) == kV1);
  REQUIRE(rig.s.spin(kW0, 200us, false, Wait::kBegins));  // lends to vCPU 0
  rig.s.put(kW0, 200us, false);
  const auto lent = rig.s.pick(kW0, 200us);
  REQUIRE(lent);
  REQUIRE(lent->vcpu == kV0);
  REQUIRE(lent->end == 300us);
  rig.s.put(kW0, 250us, false);  // cut short
  Nanos now = 250us;
  for (auto turn = rig.s.pick(kW0, now); turn->vcpu != kV0; turn = rig.s.pick(kW0, now)) {
    rig.s.put(kW0, now += 1ms, false);
  }
  CHECK(rig.host.tick_of(kW0) > now + 100us);  // a turn of its own
}

TEST_CASE("record: illegal vectors are not awaited, and leave nothing for a later send to revive") {
  KvmuxIpiModel kvmux(3, {50ms});
  V3IpiModel v3(3, 50ms);
  V2IpiModel v2(3, 50ms);
  for (IpiModel* model :
       {static_cast<IpiModel*>(&kvmux), static_cast<IpiModel*>(&v3), static_cast<IpiModel*>(&v2)}) {
    for (uint8_t vector = 0; vector < 16; ++vector) {
      model->sent({0, IrqVector{vector}, false, set_of(3, {1})}, 0ns);
      CHECK_FALSE(model->awaits(0, 1, 1us));
    }
    model->sent({0, kCall, false, set_of(3, {2})}, 60ms);
    CHECK(model->awaits(0, 2, 60ms));
    model->eoi(2, kCall, 60ms + 5us);
    CHECK_FALSE(model->awaits(0, 2, 60ms + 6us));
    CHECK_FALSE(model->awaits(0, 1, 60ms + 6us));
  }
}

TEST_CASE("record: an acknowledgement between a send's two halves is not missed") {
  KvmuxIpiModel kvmux(2, {50ms});
  V3IpiModel v3(2, 50ms);
  const VcpuSet receiver = set_of(2, {1});
  for (IpiModel* model : {static_cast<IpiModel*>(&kvmux), static_cast<IpiModel*>(&v3)}) {
    const IpiSend send{0, kCall, false, receiver};
    model->sending(send, 0ns);
    model->eoi(1, kCall, 1us);
    model->accepted(send, receiver, 2us);
    CHECK_FALSE(model->awaits(0, 1, 3us));
    model->sending(send, 10us);
    model->accepted(send, receiver, 11us);
    CHECK(model->awaits(0, 1, 12us));
    model->eoi(1, kCall, 13us);
  }
}

TEST_CASE("record: who is named and does not accept is not awaited") {
  KvmuxIpiModel kvmux(3, {50ms});
  V3IpiModel v3(3, 50ms);
  const VcpuSet both = set_of(3, {1, 2});
  for (IpiModel* model : {static_cast<IpiModel*>(&kvmux), static_cast<IpiModel*>(&v3)}) {
    const IpiSend send{0, kCall, false, both};
    model->sending(send, 0ns);
    model->accepted(send, set_of(3, {2}), 1us);
    CHECK_FALSE(model->awaits(0, 1, 2us));
    CHECK(model->awaits(0, 2, 2us));
    const VcpuSet one = set_of(3, {1});
    const IpiSend lost{0, kTimer, false, one};
    model->sending(lost, 3us);
    model->accepted(lost, set_of(3, {}), 4us);
    CHECK_FALSE(model->awaits(0, 1, 5us));
  }
}

TEST_CASE("record: INIT and the end of a vCPU end what it waits for and what others expect of it") {
  for (const std::string_view policy : {"v2", "v3", "kvmux"}) {
    CAPTURE(policy);
    SchedulerRig rig(1, {{3, policy}});
    const auto model = make_ipi_model(policy_of(policy).features.ipi, 3, {50ms});
    model->sent({0, kCall, false, set_of(3, {1})}, 0ns);
    model->sent({1, kTimer, false, set_of(3, {2})}, 0ns);
    model->forget(1);
    CHECK_FALSE(model->awaits(0, 1, 1us));
    CHECK_FALSE(model->awaits(1, 2, 1us));
    CHECK_FALSE(model->next_awaited(0, 0, 1us));
  }
}

TEST_CASE("record: a vCPU that was known to wait for its receivers makes its VM patient again when it ends") {
  for (const bool reset : {false, true}) {
    CAPTURE(reset);
    Setup setup = setup_of(1, {{2, "kvmux"}});
    setup.vms[0].policy.tuning.quantum_multiplier = 2;
    SchedulerRig rig(setup);
    rig.start_all();
    Nanos now{};
    const VcpuSet receivers = set_of(2, {1});
    VcpuId on = rig.pick(kW0, now);
    const auto turn_of = [&](VcpuId wanted) {
      while (on != wanted) on = rig.next(kW0, now += 100us);
    };
    for (int round = 0; round < 6; ++round) {
      turn_of(kV0);
      rig.s.ipi_sent(VmId{0}, {0, kCall, false, receivers}, now);
      if (!rig.s.sent(kW0, now)) rig.s.spin(kW0, now += 50us, false);
      on = rig.next(kW0, now);
      turn_of(kV1);
      rig.s.eoi(kV1, kCall, now += 10us);
    }
    const auto patience = [&] {
      return rig.s.inspect(kW0, [](RunQueue& queue) { return queue.current()->slices_per_request; });
    };
    REQUIRE(patience() == 1);
    turn_of(kV0);
    if (reset) rig.s.reset(kV0);
    if (!reset) rig.s.stop(kW0, now);
    on = reset ? rig.next(kW0, now += 1ms) : rig.pick(kW0, now);
    turn_of(kV1);
    CHECK(patience() == 2);
  }
}
