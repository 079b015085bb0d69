// Turns that go on past their end, urgent receivers, and what guests are told.
#include <doctest/doctest.h>

#include "guest_says.h"
#include "sched/scheduler.h"
#include "support.h"

using namespace sched_test;

namespace {

constexpr VmId kVm{0};
constexpr IrqVector kVector{0x40};

// A VM of two vCPUs on one worker, vCPU 0 on it.
class Pair : public SchedulerRig {
 public:
  explicit Pair(const Setup& setup) : SchedulerRig(setup), guest(setup.vms[0].vcpus) {
    s.guest_publishes(kVm, guest.all());
    start_all();
    REQUIRE(pick(kW0, 0ns) == VcpuId{0});
  }
  explicit Pair(std::string_view policy) : Pair(setup_of(1, {{2, policy}})) {}
  GuestSays guest;
};

uint64_t told(GuestSays& guest, uint32_t vcpu) { return GuestPage::load(guest[vcpu].told); }
uint64_t preempted(GuestSays& guest, uint32_t vcpu) { return GuestPage::load(guest[vcpu].preempted); }

void send(SchedulerRig& rig, uint32_t sender, uint32_t receiver, uint32_t vcpus, Nanos now) {
  VcpuSet receivers(vcpus);
  receivers.insert(receiver);
  rig.s.ipi_sent(kVm, {.sender = sender, .vector = kVector, .shorthand = false, .receivers = receivers}, now);
  rig.s.interrupt_posted(VcpuId{receiver}, now);
}

}  // namespace

TEST_CASE("extend=critical: a turn that ends inside a critical section goes on once, for a bounded time") {
  Pair rig("yield,extend=critical");
  rig.guest.owns(0, 7);
  const auto longer = rig.s.tick(kW0, 1ms);
  REQUIRE(longer);
  CHECK(longer->end == 1200us);
  CHECK(rig.host.tick_of(kW0) == 1200us);
  CHECK(rig.s.tick(kW0, 1100us)->end == 1200us);  // a kick in between changes nothing
  CHECK_FALSE(rig.s.tick(kW0, 1200us));
  CHECK(rig.stats(0, 1200us).extensions == 1);
  CHECK(rig.next(kW0, 1200us) == VcpuId{1});
  // What it had too much is repaid: the other one's turn comes as if it had been its own.
  const auto behind = rig.s.inspect(kW0, [&](RunQueue& queue) {
    auto& eevdf = static_cast<EevdfQueue&>(queue);
    Vruntime least{};
    eevdf.timeline(GroupId{0}).for_each([&](const Entity& e) { least = std::max(least, e.vruntime); });
    return least;
  });
  CHECK(behind == Vruntime{1'200'000});
}

TEST_CASE("extend=critical: outside of a critical section a turn ends when it ends") {
  Pair rig("yield,extend=critical");
  CHECK_FALSE(rig.s.tick(kW0, 1ms));
  CHECK(rig.stats(0, 1ms).extensions == 0);
}

TEST_CASE("extend=off: what a guest publishes changes nothing") {
  Pair rig("yield");
  rig.guest.owns(0, 7);
  GuestPage::store(rig.guest[0].asks, 100'000);
  CHECK_FALSE(rig.s.tick(kW0, 1ms));
  CHECK(told(rig.guest, 0) == 0);
}

TEST_CASE("extend=asked: as long as it asks for, up to the bound, and charged once more") {
  struct Case {
    uint64_t asked;
    Nanos given;
  };
  for (const Case& c : {Case{50'000, 50us}, Case{10'000'000, 200us}}) {
    CAPTURE(c.asked);
    Pair rig("yield,extend=asked");
    CHECK((told(rig.guest, 0) & kHearsAsks) != 0);
    GuestPage::store(rig.guest[0].asks, c.asked);
    const auto longer = rig.s.tick(kW0, 1ms);
    REQUIRE(longer);
    CHECK(longer->end == 1ms + c.given);
    CHECK_FALSE(rig.s.tick(kW0, 1ms + c.given));
    CHECK(rig.next(kW0, 1ms + c.given) == VcpuId{1});
    const Vruntime charged = rig.s.inspect(kW0, [](RunQueue& queue) {
      Vruntime most{};
      static_cast<EevdfQueue&>(queue).timeline(GroupId{0}).for_each(
          [&](const Entity& e) { most = std::max(most, e.vruntime); });
      return most;
    });
    CHECK(charged == Vruntime{(1ms + 2 * c.given).count()});
  }
}

TEST_CASE("extend=asked: who does not ask has no more, and pays no more") {
  Pair rig("yield,extend=asked");
  CHECK_FALSE(rig.s.tick(kW0, 1ms));
}

TEST_CASE("urgent: a receiver that waits on another worker runs there at once, and not for long") {
  Setup setup = setup_of(2, {{2, "cosched-ipi"}, {2, "cosched-ipi"}});
  SchedulerRig rig(setup);
  run_apart(rig);  // worker 0 runs vCPU 0; vCPU 1 waits on worker 1 behind vCPU 3
  send(rig, 0, 1, 2, 700us);
  CHECK_FALSE(rig.s.sent(kW0, 700us));
  CHECK(rig.stats(0, 700us).urged == 1);
  CHECK(rig.host.take_kicks(kW1) >= 1);
  CHECK_FALSE(rig.s.tick(kW1, 700us));
  CHECK(rig.next(kW1, 700us) == VcpuId{1});
  CHECK(rig.host.tick_of(kW1) == 1200us);  // urgent-slice
  // Until it has acknowledged, its sender goes on past the end of its turn.
  const auto longer = rig.s.tick(kW0, 1ms);
  REQUIRE(longer);
  CHECK(longer->end == 1200us);
  CHECK_FALSE(rig.s.tick(kW1, 1200us));
}

TEST_CASE("urgent: a sender whose receivers have acknowledged is taken off as ever") {
  SchedulerRig rig(setup_of(2, {{2, "cosched-ipi"}, {2, "cosched-ipi"}}));
  run_apart(rig);
  send(rig, 0, 1, 2, 700us);
  rig.s.sent(kW0, 700us);
  REQUIRE(rig.next(kW1, 700us) == VcpuId{1});
  rig.s.eoi(VcpuId{1}, kVector, 750us);
  CHECK_FALSE(rig.s.tick(kW0, 1ms));
}

TEST_CASE("tell-preempted: a vCPU is said to wait from when it is taken off or woken until it runs") {
  Pair rig("yield,tell-preempted=on");
  CHECK((told(rig.guest, 0) & kTellsPreempted) != 0);
  CHECK(preempted(rig.guest, 0) == 0);
  CHECK(preempted(rig.guest, 1) == 1);
  REQUIRE(rig.next(kW0, 1ms) == VcpuId{1});
  CHECK(preempted(rig.guest, 0) == 1);
  CHECK(preempted(rig.guest, 1) == 0);
  rig.s.halt(kW0, 1100us);
  CHECK(preempted(rig.guest, 1) == 0);
  rig.s.interrupt_posted(VcpuId{1}, 1200us);
  CHECK(preempted(rig.guest, 1) == 1);
}

TEST_CASE("deboost=past: the yielder stands just behind its target, which costs nothing where it does already") {
  SchedulerRig rig(1, {{2, "vee21"}});
  rig.start_all();
  REQUIRE(rig.pick(kW0, 0ns) == VcpuId{0});
  REQUIRE(rig.next(kW0, 500us) == VcpuId{1});
  // vCPU 1 has run for 100 µs, and yields to vCPU 0, which has run for 500 µs.
  REQUIRE(rig.s.spin(kW0, 600us, false));
  CHECK(rig.stats(1, 600us).penalty_sum == Vruntime{400'001});
  REQUIRE(rig.s.spin(kW0, 600us, false));
  CHECK(rig.stats(1, 600us).penalties == 1);
  CHECK(rig.next(kW0, 600us) == VcpuId{0});
}

TEST_CASE("a yield is right if it goes to one that the yielder needs") {
  Setup setup = setup_of(1, {{2, "yield"}});
  setup.judges_yields = true;
  Pair rig(setup);
  const auto right = [&](Nanos now) {
    const VcpuStats stats = rig.stats(0, now);
    uint64_t sum = 0;
    for (const uint64_t count : stats.yields_right) sum += count;
    return std::pair(sum, stats.right_possible);
  };
  using Counts = std::pair<uint64_t, uint64_t>;
  rig.guest.waits(0, GuestWait::kLock, 7);
  REQUIRE(rig.s.spin(kW0, 100us, false));  // nobody owns the lock
  CHECK(right(100us) == Counts(0, 0));
  REQUIRE(rig.next(kW0, 100us) == VcpuId{1});
  rig.guest.owns(1, 7);
  REQUIRE(rig.next(kW0, 1100us) == VcpuId{0});
  REQUIRE(rig.s.spin(kW0, 1200us, false));
  CHECK(right(1200us) == Counts(1, 1));
  // Not judged unless that is asked for.
  Pair unjudged("yield");
  unjudged.guest.waits(0, GuestWait::kLock, 7);
  unjudged.guest.owns(1, 7);
  REQUIRE(unjudged.s.spin(kW0, 100us, false));
  CHECK(unjudged.stats(0, 100us).right_possible == 0);
}
