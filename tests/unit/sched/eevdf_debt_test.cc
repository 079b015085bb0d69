// What an EEVDF queue remembers of a vCPU and its group, and until when: debts, credits, nominations. Slices
// are 1 ms without jitter.
#include <doctest/doctest.h>

#include "sched/queue/eevdf_queue.h"
#include "sched/yield/effect.h"
#include "support.h"

using namespace sched_test;

namespace {

// A VM that has had 20 ms where another one had nothing: from when on does it run there again, if then this
// happens?
Nanos back_after(bool sibling_elsewhere, bool sibling_here) {
  QueueRig rig;
  const GroupId vm = rig.group();
  const GroupId other = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  Vcpu& c = rig.vcpu(vm);
  Vcpu& x = rig.vcpu(other);
  EevdfQueue& here = rig.queue(0);
  EevdfQueue& there = rig.queue(1);
  here.enqueue(a, 0ns);
  here.enqueue(x, 0ns);
  REQUIRE(here.pick(0ns) == &a);
  here.tick(20ms);
  here.put(20ms);
  for (int again = 0; again < 5; ++again) {
    if (sibling_elsewhere) there.enqueue(b, 20ms);
    if (sibling_here) here.enqueue(c, 20ms);
    if (sibling_here) here.dequeue(c, 20ms);
    if (sibling_elsewhere) there.dequeue(b, 20ms);
  }
  for (Nanos now = 20ms;; now += 100us) {
    if (here.pick(now) != &x) return now - 20ms;
    here.tick(now + 100us);
    here.put(now + 100us);
  }
}

}  // namespace

TEST_CASE("debt: a VM does not shed it by siblings that come and go") {
  const Nanos due = back_after(false, false);
  CHECK(due >= 19ms);
  CHECK(back_after(true, false) >= due - 200us);
  CHECK(back_after(false, true) >= due - 200us);
  CHECK(back_after(true, true) >= due - 200us);
}

TEST_CASE("credit: halting or moving does not make a vCPU worth another one") {
  for (const bool moves : {false, true}) {
    CAPTURE(moves);
    QueueRig rig;
    const GroupId vm = rig.group();
    Vcpu& a = rig.vcpu(vm);
    Vcpu& b = rig.vcpu(vm);
    EevdfQueue& queue = rig.queue(0);
    EevdfQueue& there = rig.queue(1);
    queue.enqueue(a, 0ns);
    queue.enqueue(b, 0ns);
    REQUIRE(queue.pick(0ns) == &a);
    queue.put(2ms);  // a is ahead
    REQUIRE(queue.pick(2ms) == &b);
    REQUIRE(queue.credit(a, kCreditDepth));
    queue.put(2ms);
    REQUIRE(queue.pick(2ms) == &a);
    queue.tick(4ms);
    queue.dequeue(a, 4ms);  // its credit is spent, and not paid back
    if (moves) {
      Vcpu& x = rig.vcpu(vm);
      there.enqueue(x, 4ms);
      there.enqueue(a, 4ms);
      REQUIRE(there.pick(4ms) != nullptr);
      if (there.current() == &a) continue;  // it runs by right
      CHECK_FALSE(there.credit(a, kCreditDepth));
    } else {
      REQUIRE(queue.pick(4ms) == &b);
      queue.enqueue(a, 4ms);
      CHECK_FALSE(queue.credit(a, kCreditDepth));
    }
  }
}

TEST_CASE("nominate: Linux' next buddy stays until it is eligible, is picked, leaves or is replaced") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  Vcpu& c = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  for (Vcpu* vcpu : {&a, &b, &c}) queue.enqueue(*vcpu, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.put(1ms);
  const bool lasts = true;
  queue.nominate(a, Nomination({}, lasts));  // not eligible: it has had 1 ms, the others nothing
  REQUIRE(queue.pick(1ms) == &b);
  REQUIRE(queue.timeline(vm).nominee() == &a);
  SUBCASE("until it is eligible") {
    queue.put(4ms);  // b at 3 ms, c at 0: a, at 1 ms, is eligible, and c's deadline is the earlier one
    CHECK(queue.pick(4ms) == &a);
    queue.put(4ms);
    CHECK(queue.pick(4ms) == &c);  // once
  }
  SUBCASE("until it leaves") {
    queue.dequeue(a, 1ms);
    CHECK(queue.timeline(vm).nominee() == nullptr);
    CHECK(queue.root().nominee() == nullptr);
  }
  SUBCASE("until it is replaced") {
    queue.nominate(c, Nomination({}, lasts));
    queue.put(4ms);
    CHECK(queue.pick(4ms) == &c);
  }
}

TEST_CASE("nominate: a group is nominated no longer than the vCPU for whose sake it is") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& foreign = rig.vcpu(rig.group());
  Vcpu& a = rig.vcpu(vm);
  Vcpu& target = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  for (Vcpu* vcpu : {&a, &target, &foreign}) queue.enqueue(*vcpu, 0ns);
  queue.nominate(target, 10ms);
  queue.dequeue(target, 0ns);  // pulled away, or stolen
  CHECK(queue.root().nominee() == nullptr);
  CHECK(queue.timeline(vm).nominee() == nullptr);
}

TEST_CASE("v3: a credit on another worker sees its queue as it is now") {
  Vruntime lag[2];
  for (const bool charged : {false, true}) {
    QueueRig rig;
    const GroupId vm = rig.group();
    Vcpu& target = rig.vcpu(vm);
    Vcpu& runs = rig.vcpu(rig.group());
    EevdfQueue& queue = rig.queue();
    queue.enqueue(target, 0ns);
    queue.enqueue(runs, 0ns);
    REQUIRE(queue.pick(0ns) == &target);
    queue.tick(1ms);
    queue.put(1ms);
    REQUIRE(queue.pick(1ms) == &runs);
    if (charged) queue.tick(1900us);
    DeboostState limit;
    static_cast<void>(apply_remote_yield(queue, limit, policy_of("v3"), target, true, 1900us));
    queue.tick(1900us);
    lag[charged] = queue.root().lag(*target.timeline->owner());
  }
  CHECK(lag[0] == lag[1]);
}

TEST_CASE("v3: only the reschedule that breaks a protection is limited") {
  // Credit alone: without buddy and forfeit nothing else makes the yielder leave before its turn is over.
  SchedulerRig rig(1, {{3, "v3,buddy=off,forfeit=off"}});
  rig.start_all();
  Nanos now{};
  rig.pick(kW0, now);
  for (int turn = 0; turn < 3; ++turn) rig.next(kW0, now += 100us);  // all are preempted in kernel mode
  // Who was just picked is eligible, and protected from then on.
  CHECK(rig.s.spin(kW0, now, true));
  const VcpuId on = rig.next(kW0, now);
  CHECK_FALSE(rig.s.spin(kW0, now, true));  // within 6 ms of the last time
  CHECK(rig.stats(index_of(on), now).yields_tried > 0);
  CHECK(rig.s.tick(kW0, now));  // its turn goes on
  for (int turn = 0; turn < 7; ++turn) {
    rig.s.tick(kW0, now += 1ms);
    rig.next(kW0, now);
  }
  CHECK(rig.s.spin(kW0, now, true));
}

TEST_CASE("stolen time: no more than has passed, however much the host says it took") {
  QueueRig rig;
  Vcpu& a = rig.vcpu(rig.group());
  Vcpu& b = rig.vcpu(rig.group());
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(b, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.tick(500us);
  queue.discount_stolen(1h);
  CHECK_FALSE(queue.tick(500us));
  // The half millisecond may have been another's; from there on it is charged, and its turn of 1 ms ends.
  CHECK_FALSE(queue.tick(1490us));
  CHECK(queue.tick(2010us));
}
