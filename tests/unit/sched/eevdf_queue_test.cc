#include "sched/queue/eevdf_queue.h"

#include <doctest/doctest.h>

#include "support.h"

using namespace sched_test;

// Slices of 1 ms and no jitter throughout (plain_tuning), so every figure below follows by hand.

TEST_CASE("eevdf: newcomers stand at the average with a request of one slice; ties go by id") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(b, 0ns);
  queue.enqueue(a, 0ns);
  CHECK(a.vruntime == Vruntime{0});
  CHECK(a.deadline == Vruntime{1'000'000});
  CHECK(queue.runnable() == 2);
  CHECK(queue.waiting() == 2);
  CHECK(queue.pick(0ns) == &a);
  CHECK(queue.current() == &a);
  CHECK(queue.waiting() == 1);
}

TEST_CASE("eevdf: a turn lasts one slice, and the next one goes to who is owed service") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(b, 0ns);
  REQUIRE(queue.pick(5us) == &a);
  CHECK(queue.turn_end() == 1005us);
  CHECK_FALSE(queue.tick(1004us));
  CHECK(queue.tick(1005us));
  CHECK(a.vruntime == Vruntime{1'000'000});
  CHECK(a.deadline == Vruntime{2'000'000});
  queue.put(1005us);
  CHECK(queue.pick(1005us) == &b);
  queue.check();
}

TEST_CASE("eevdf: nobody waits, no tick") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  CHECK(queue.pick(0ns) == nullptr);
  CHECK(queue.turn_end() == kForever);
  queue.enqueue(a, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  CHECK(queue.turn_end() == kForever);
  CHECK_FALSE(queue.tick(10ms));  // ten slices on end
  queue.enqueue(b, 10'300us);
  CHECK(queue.turn_end() == 11ms);  // the request that began at 10 ms
}

TEST_CASE("eevdf: run to parity: while eligible and inside its request, nobody preempts") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& waker = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.enqueue(waker, 500us);  // joins at the average, 500 µs: a is eligible still
  CHECK(waker.vruntime == Vruntime{500'000});
  CHECK_FALSE(queue.preempts(waker));
}

TEST_CASE("eevdf: a waker that is owed service preempts who is ahead of the average") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& waker = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(waker, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.dequeue(waker, 1ms);  // a at 1 ms, average 0.5 ms: owed 0.5 ms
  CHECK(waker.lag == Vruntime{500'000});
  queue.enqueue(waker, 3ms);
  // Kept over the sleep: with both aboard the average is 2.5 ms, and it stands 0.5 ms before that.
  CHECK(waker.vruntime == Vruntime{2'000'000});
  CHECK(waker.deadline == Vruntime{3'000'000});
  CHECK(queue.timeline(vm).average() == Vruntime{2'500'000});
  CHECK(queue.preempts(waker));
}

TEST_CASE("eevdf: a waker that is not the best choice does not preempt") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  Vcpu& waker = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(b, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  queue.enqueue(waker, 500us);  // at 0.25 ms with deadline 1.25 ms; b has 1 ms
  CHECK(waker.vruntime == Vruntime{250'000});
  CHECK_FALSE(queue.preempts(waker));
}

TEST_CASE("eevdf: lag kept over a sleep is bounded by two slices, both ways") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(a, 0ns);
  queue.enqueue(b, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  SUBCASE("owed") {
    queue.dequeue(b, 10ms);  // owed 5 ms
    CHECK(b.lag == Vruntime{2'000'000});
    queue.enqueue(b, 20ms);
    CHECK(b.vruntime == Vruntime{18'000'000});
  }
  SUBCASE("owing") {
    queue.dequeue(a, 10ms);
    CHECK(a.lag == Vruntime{-2'000'000});
    queue.enqueue(a, 10ms);
    CHECK(a.vruntime == Vruntime{2'000'000});
  }
}

TEST_CASE("eevdf: a debt is worked off in sleep exactly as it is while waiting") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& debtor = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  Vcpu& c = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  for (Vcpu* vcpu : {&debtor, &b, &c}) queue.enqueue(*vcpu, 0ns);
  REQUIRE(queue.pick(0ns) == &debtor);
  queue.dequeue(debtor, 1ms);  // at 1 ms; the average was 1/3 ms
  CHECK(debtor.lag == Vruntime{-666'667});
  Nanos back{};
  int64_t stands{};
  SUBCASE("back at once: where it was") { back = 1ms, stands = 1'000'000; }
  SUBCASE("the others got 0.2 ms each: still where it was") { back = 1400us, stands = 1'000'000; }
  SUBCASE("the others got 1 ms each: even") { back = 3ms, stands = 1'000'000; }
  SUBCASE("the others got 2 ms each: at the average, nothing gained") { back = 5ms, stands = 2'000'000; }
  CAPTURE(back);
  const Nanos step = (back - 1ms) / 2;
  for (Nanos now = 1ms; now < back; now += step) {
    REQUIRE(queue.pick(now) != nullptr);
    queue.put(now + step);
  }
  CAPTURE(b.vruntime.ticks);
  queue.enqueue(debtor, back);
  CHECK(std::abs(debtor.vruntime.ticks - stands) <= 3);  // averages are rounded down
}

TEST_CASE("eevdf: a debt moves to another worker in full") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& a = rig.vcpu(vm);
  Vcpu& b = rig.vcpu(vm);
  Vcpu& c = rig.vcpu(vm);
  EevdfQueue& from = rig.queue(0);
  EevdfQueue& to = rig.queue(1);
  from.enqueue(a, 0ns);
  from.enqueue(b, 0ns);
  to.enqueue(c, 0ns);
  REQUIRE(to.pick(0ns) == &c);
  REQUIRE(from.pick(0ns) == &a);
  from.dequeue(a, 1ms);  // owes 0.5 ms
  to.enqueue(a, 50ms);   // average there: 50 ms; both aboard: 50.5 ms
  CHECK(to.timeline(vm).lag(a) == Vruntime{-500'000});
}

TEST_CASE("eevdf: yielding in a tight loop gains nothing") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& yielder = rig.vcpu(vm);
  Vcpu& worker = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(yielder, 0ns);
  queue.enqueue(worker, 0ns);
  Nanos got{};
  Nanos now{};
  while (now < 100ms) {
    Vcpu* vcpu = queue.pick(now);
    const Nanos turn = vcpu == &yielder ? 10us : queue.turn_end() - now;
    if (vcpu == &yielder) got += turn;
    now += turn;
    if (vcpu == &yielder) {
      static_cast<void>(queue.tick(now));
      queue.forfeit();
    }
    queue.put(now);
  }
  CHECK(got <= 51ms);  // half, and a slice
}

TEST_CASE("eevdf: sleeping just before each tick gains nothing: service is charged by time") {
  QueueRig rig;
  const GroupId vm = rig.group();
  Vcpu& sleeper = rig.vcpu(vm);
  Vcpu& worker = rig.vcpu(vm);
  EevdfQueue& queue = rig.queue();
  queue.enqueue(sleeper, 0ns);
  queue.enqueue(worker, 0ns);
  Nanos got{};
  Nanos now{};
  while (now < 100ms) {
    Vcpu* vcpu = queue.pick(now);
    if (vcpu == &sleeper) {
      got += 999us;
      now += 999us;
      queue.dequeue(sleeper, now);
      queue.enqueue(sleeper, now + 1us);  // back at once
      now += 1us;
    } else {
      now = queue.turn_end();
      queue.put(now);
    }
  }
  CHECK(got <= 52ms);  // half, and a lag limit
}

TEST_CASE("eevdf: slices vary by the jitter and no more, and repeat with the seed") {
  Tuning tuning = plain_tuning();
  tuning.slice_jitter_permille = 200;
  const auto requests = [&](uint64_t seed) {
    Hierarchy hierarchy;
    const GroupId vm = hierarchy.add(kRootGroup, kDefaultWeight, tuning.slice);
    EevdfQueue queue(hierarchy, constants_of(tuning), seed);
    std::deque<Vcpu> vcpus(500);
    std::vector<int64_t> lengths;
    for (uint32_t i = 0; i < vcpus.size(); ++i) {
      vcpus[i].id = VcpuId{i};
      vcpus[i].group = vm;
      vcpus[i].slice = tuning.slice;
      queue.enqueue(vcpus[i], 0ns);
      lengths.push_back(vcpus[i].request.ticks);
    }
    return lengths;
  };
  const auto lengths = requests(1);
  const auto [least, most] = std::minmax_element(lengths.begin(), lengths.end());
  CHECK(*least >= 800'000);
  CHECK(*most <= 1'200'000);
  CHECK(*least < 820'000);  // 500 draws reach both ends
  CHECK(*most > 1'180'000);
  CHECK(lengths == requests(1));
  CHECK(lengths != requests(2));
}

TEST_CASE("eevdf: movable are those who wait, by deadline, the running one's siblings last") {
  QueueRig rig;
  const GroupId first = rig.group();
  const GroupId second = rig.group();
  Vcpu& a = rig.vcpu(first);
  Vcpu& b = rig.vcpu(first);
  Vcpu& c = rig.vcpu(second);
  Vcpu& d = rig.vcpu(second);
  EevdfQueue& queue = rig.queue();
  const auto movable = [&](size_t room) {
    std::vector<Vcpu*> out(room);
    out.resize(queue.movable(out));
    return out;
  };
  CHECK(movable(8).empty());
  queue.enqueue(a, 0ns);
  REQUIRE(queue.pick(0ns) == &a);
  CHECK(movable(8).empty());  // running, not waiting
  queue.enqueue(b, 0ns);
  CHECK(movable(8) == std::vector{&b});
  queue.enqueue(c, 0ns);
  queue.enqueue(d, 0ns);
  CHECK(movable(8) == std::vector{&c, &d, &b});
  CHECK(movable(2) == std::vector{&c, &d});
  queue.put(0ns);
  CHECK(movable(8) == std::vector{&a, &b, &c, &d});
}
