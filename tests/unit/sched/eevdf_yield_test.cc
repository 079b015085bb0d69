// What a directed yield may do to an EEVDF queue, one effect at a time, by hand. Slices are 1 ms without
// jitter.
#include <doctest/doctest.h>

#include <limits>

#include "sched/queue/eevdf_queue.h"
#include "support.h"

using namespace sched_test;

TEST_CASE("nominate: the nominee runs next at every level, once") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  Vcpu& c = rig.vcpu(vm);
  Vcpu& foreign = rig.vcpu(rig.group());
  EevdfQueue& queue = rig.queue();
  for (Vcpu* vcpu : {&a, &b, &c, &foreign}) queue.enqueue(*vcpu, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.nominate(c, 0ns);
  queue.put(0ns);  // nothing was charged: all are eligible
  CHECK(queue.pick(0ns) == &c);
  queue.put(0ns);
  CHECK(queue.pick(0ns) == &a);  // by id again
}

TEST_CASE("nominate: not eligible, not honoured; with slack it may be that far ahead of the average") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(b, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.put(1ms);  // a at 1 ms, b at 0: a is 0.5 ms past the average
  SUBCASE("no slack") {
    queue.nominate(a, 0ns);
    CHECK(queue.pick(1ms) == &b);
  }
  SUBCASE("a tick less than it needs") {
    queue.nominate(a, 500us - 1ns);
    CHECK(queue.pick(1ms) == &b);
  }
  SUBCASE("just enough") {
    queue.nominate(a, 500us);
    CHECK(queue.pick(1ms) == &a);
  }
}

TEST_CASE("nominate: a group that is ahead stops the nomination at its level only") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& target = rig.vcpu(vm);
  Vcpu& foreign = rig.vcpu(rig.group());
  EevdfQueue& queue = rig.queue();
  for (Vcpu* vcpu : {&a, &target, &foreign}) queue.enqueue(*vcpu, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.nominate(target, 0ns);
  queue.put(1ms);
  CHECK(queue.pick(1ms) == &foreign);  // the VM is ahead of the average
  queue.put(2ms);
  CHECK(queue.pick(2ms) == &target);
}

TEST_CASE("forfeit: the rest of the request is given up, once; then the yielder is not eligible") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(b, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.forfeit();  // at the average
  CHECK(a.vruntime == Vruntime{1'000'000});
  CHECK(a.deadline == Vruntime{2'000'000});
  queue.forfeit();  // 0.5 ms past the average now
  CHECK(a.vruntime == Vruntime{1'000'000});
  queue.check();
  queue.put(0ns);
  CHECK(queue.pick(0ns) == &b);
}

TEST_CASE("siblings: where the two chains part") {
  QueueRig rig;
  const GroupId outer = rig.group();
  const GroupId vm = rig.group(Weight{1024}, outer);
  const GroupId other = rig.group(Weight{1024}, outer);
  const GroupId apart = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& sibling = rig.vcpu(vm);
  Vcpu& cousin = rig.vcpu(other);
  Vcpu& stranger = rig.vcpu(apart);
  EevdfQueue& queue = rig.queue();
  for (Vcpu* vcpu : {&a, &sibling, &cousin, &stranger}) queue.enqueue(*vcpu, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  const auto entity_of = [&](GroupId group) { return queue.timeline(group).owner(); };
  CHECK(queue.siblings(sibling).yielder == &a);
  CHECK(queue.siblings(sibling).target == &sibling);
  CHECK(queue.siblings(cousin).yielder == entity_of(vm));
  CHECK(queue.siblings(cousin).target == entity_of(other));
  CHECK(queue.siblings(stranger).yielder == entity_of(outer));  // chains of unequal length
  CHECK(queue.siblings(stranger).target == entity_of(apart));
}

TEST_CASE("penalize: vruntime and deadline move, lag is left alone, overflow changes nothing") {
  QueueRig rig;
  const GroupId vm = rig.group(Weight{2048});
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(b, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.tick(300us);
  a.lag = {77};
  CHECK(queue.penalize(a, {2'500'000}));
  CHECK(a.vruntime == Vruntime{2'800'000});
  CHECK(a.deadline == Vruntime{3'800'000});
  CHECK(a.lag == Vruntime{77});
  queue.check();
  // At the VM's level a slice counts half: its weight is 2048.
  Entity& group = *queue.timeline(vm).owner();
  CHECK(group.vruntime == Vruntime{150'000});
  CHECK(queue.penalize(group, {1}));
  CHECK(group.deadline == Vruntime{150'001 + 500'000});

  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const Entity before = a;
  CHECK_FALSE(queue.penalize(a, {kMax}));
  CHECK_FALSE(queue.penalize(a, {kMax - 2'800'000 - 1'000'000 + 1}));  // the deadline would overflow
  CHECK_FALSE(queue.penalize(a, {0}));
  CHECK(a.vruntime == before.vruntime);
  CHECK(a.deadline == before.deadline);
  queue.check();
}

TEST_CASE("credit: the lag afterwards is the margin, an eighth of a slice for each that is queued") {
  // n vCPUs, of which the first ran 1 ms and waits as target, the second runs.
  for (const uint32_t n : {2u, 3u, 5u, 8u, 9u, 40u}) {
    CAPTURE(n);
    QueueRig rig;
    const GroupId vm = rig.group();
    std::vector<Vcpu*> vcpus;
    EevdfQueue& queue = rig.queue();
    for (uint32_t i = 0; i < n; ++i) queue.enqueue(*vcpus.emplace_back(&rig.vcpu(vm)), 0ns);
    REQUIRE(queue.pick(0ns) == vcpus[0]);
    queue.put(1ms);
    REQUIRE(queue.pick(1ms) == vcpus[1]);
    const Entity running = *vcpus[1];
    const Entity group = *queue.timeline(vm).owner();
    Entity& target = *vcpus[0];
    const Timeline& timeline = queue.timeline(vm);
    REQUIRE_FALSE(timeline.eligible(target));
    const int64_t depth = n == 5 ? 3 : kCreditDepth;
    CHECK(queue.credit(*vcpus[0], depth));
    const int64_t margin = 1'000'000 * std::min<int64_t>(n, depth) / depth;
    CHECK(std::abs(timeline.lag(target).ticks - margin) <= 2);  // the average is rounded down
    CHECK(timeline.eligible(target));
    CHECK(target.deadline == target.vruntime + Vruntime{1'000'000});
    CHECK(vcpus[1]->vruntime == running.vruntime);  // the running one is left alone
    CHECK(vcpus[1]->deadline == running.deadline);
    CHECK(queue.timeline(vm).owner()->vruntime == group.vruntime);  // and so is the group that runs
    CHECK_FALSE(queue.credit(*vcpus[0], kCreditDepth));             // eligible now: nothing to give
    queue.check();
  }
}

TEST_CASE("credit: each level of the target's chain on its own") {
  QueueRig rig;
  const GroupId heavy = rig.group(Weight{2048});
  const GroupId other = rig.group(Weight{1024});
  Vcpu& target = rig.vcpu(heavy);
  Vcpu& sibling = rig.vcpu(heavy);
  Vcpu& running = rig.vcpu(other);
  EevdfQueue& queue = rig.queue();
  for (Vcpu* vcpu : {&target, &sibling, &running}) queue.enqueue(*vcpu, 0ns);
  REQUIRE(queue.pick(0ns) == &target);
  queue.put(1ms);
  REQUIRE(queue.pick(1ms) == &running);
  // The VM is at 0.5 ms, the other at 0; three vCPUs compete at the root and two in the VM.
  CHECK(queue.credit(target, kCreditDepth));
  const Entity& group = *queue.timeline(heavy).owner();
  CHECK(std::abs(queue.root().lag(group).ticks - 500'000 * 3 / 8) <= 2);
  CHECK(std::abs(queue.timeline(heavy).lag(target).ticks - 1'000'000 * 2 / 8) <= 2);
  queue.check();
}

TEST_CASE("credit never exceeds one slice, weights and depth whatever") {
  for (const int64_t weight : {2, 100, 1024, 5000, 1 << 20}) {
    CAPTURE(weight);
    QueueRig rig;
    const GroupId vm = rig.group(Weight{weight});
    Vcpu& target = rig.vcpu(vm);
    std::vector<Vcpu*> others;
    for (int i = 0; i < 20; ++i) others.push_back(&rig.vcpu(rig.group()));
    EevdfQueue& queue = rig.queue();
    queue.enqueue(target, 0ns);
    for (Vcpu* other : others) queue.enqueue(*other, 0ns);
    REQUIRE(queue.pick(0ns) != nullptr);
    while (queue.current() != &target) {
      queue.put(0ns);
      queue.nominate(target, 1s);
      REQUIRE(queue.pick(0ns) != nullptr);
    }
    queue.put(10ms);
    REQUIRE(queue.pick(10ms) != &target);
    CHECK(queue.credit(target, kCreditDepth));
    const Entity& group = *queue.timeline(vm).owner();
    const Vruntime slice = to_virtual(1ms, Weight{weight});
    CHECK(queue.root().lag(group) <= slice + Vruntime{1});
    CHECK(queue.root().lag(group) >= slice - Vruntime{1 + slice.ticks / 1000});
    queue.check();
  }
}

TEST_CASE("hier: every ancestor pays for the part of its queue that yielded") {
  // root: outer (2048), lone (1024); outer: vm (1024), vm2 (3072); vm: a, b, c, d.
  QueueRig rig;
  const GroupId outer = rig.group(Weight{2048});
  const GroupId vm = rig.group(Weight{1024}, outer);
  const GroupId vm2 = rig.group(Weight{3072}, outer);
  const GroupId lone = rig.group(Weight{1024});
  Vcpu* quad[] = {&rig.vcpu(vm), &rig.vcpu(vm), &rig.vcpu(vm), &rig.vcpu(vm)};
  Vcpu& second = rig.vcpu(vm2);
  Vcpu& third = rig.vcpu(lone);
  EevdfQueue& queue = rig.queue();
  for (Vcpu* vcpu : quad) queue.enqueue(*vcpu, 0ns);
  queue.enqueue(second, 0ns);
  queue.enqueue(third, 0ns);
  queue.nominate(*quad[0], 0ns);
  REQUIRE(queue.pick(0ns) == quad[0]);
  queue.forfeit();
  CHECK(quad[0]->vruntime == Vruntime{1'000'000});
  const Entity& vm_entity = *queue.timeline(vm).owner();
  const Entity& outer_entity = *queue.timeline(outer).owner();

  SUBCASE("all eligible") {
    queue.forfeit_ancestors();
    // vm: 1 ms · 1024 / 4096 = 0.25 ms, then w = 1024 · 1024 / 4096 = 256.
    CHECK(vm_entity.vruntime == Vruntime{250'000});
    CHECK(vm_entity.deadline == Vruntime{1'000'000});
    // outer: its scaled slice is 0.5 ms, its queue's load 4096: 0.5 ms · 256 / 4096.
    CHECK(outer_entity.vruntime == Vruntime{31'250});
    queue.check();
    // Again: vm is not eligible any more, so nothing moves.
    queue.forfeit_ancestors();
    CHECK(vm_entity.vruntime == Vruntime{250'000});
    CHECK(outer_entity.vruntime == Vruntime{31'250});
  }
  SUBCASE("stops below the first that is not eligible") {
    queue.tick(100us);  // ahead everywhere
    const Vruntime at = vm_entity.vruntime;
    queue.forfeit_ancestors();
    CHECK(vm_entity.vruntime == at);
    CHECK(outer_entity.vruntime == Vruntime{50'000});
  }
}

TEST_CASE("hier: an ancestor that reaches its deadline gets a new one") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& foreign = rig.vcpu(rig.group());
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(foreign, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.forfeit_ancestors();  // alone in its VM: the whole slice
  const Entity& group = *queue.timeline(vm).owner();
  CHECK(group.vruntime == Vruntime{1'000'000});
  CHECK(group.deadline == Vruntime{2'000'000});
  queue.check();
}

TEST_CASE("hier: stops when the yielding part has become nothing") {
  // 2000 vCPUs: w = 2 · 1024 / 2048000 = 0 beyond the VM.
  QueueRig rig;
  const GroupId outer = rig.group();
  const GroupId vm = rig.group(Weight{2}, outer);
  EevdfQueue& queue = rig.queue();
  for (int i = 0; i < 2000; ++i) queue.enqueue(rig.vcpu(vm), 0ns);
  REQUIRE(queue.pick(0ns) != nullptr);
  queue.forfeit_ancestors();
  CHECK(queue.timeline(vm).owner()->vruntime == Vruntime{1'000'000 * 512 / 2000});
  CHECK(queue.timeline(outer).owner()->vruntime == Vruntime{0});
}

TEST_CASE("cancel_protection: the next tick ends the turn") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(rig.vcpu(vm), 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  CHECK_FALSE(queue.tick(10us));
  queue.cancel_protection();
  CHECK(queue.turn_end() == 10us);
  CHECK(queue.tick(10us));
  queue.put(10us);
  REQUIRE(queue.pick(10us) != nullptr);
  CHECK_FALSE(queue.tick(20us));  // for that turn only
}

TEST_CASE("passes_over_current: between two turns there is nobody to pass over, at any level") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  CHECK(queue.passes_over_current());
  queue.enqueue(a, 0ns);
  queue.enqueue(b, 0ns);
  CHECK(queue.passes_over_current());
  REQUIRE(queue.pick(0ns) == &a);
  CHECK_FALSE(queue.passes_over_current());
  queue.put(100us);
  CHECK(queue.passes_over_current());
  REQUIRE(queue.pick(100us) != nullptr);
  queue.dequeue(*queue.current(), 200us);  // as a HLT does
  CHECK(queue.passes_over_current());
}
