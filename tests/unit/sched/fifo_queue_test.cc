#include "sched/queue/fifo_queue.h"

#include <doctest/doctest.h>

#include <array>

#include "support.h"

using namespace sched_test;

namespace {

struct Rig {
  explicit Rig(size_t n) : vcpus(n) {
    for (uint32_t i = 0; i < n; ++i) {
      vcpus[i].id = VcpuId{i};
      vcpus[i].slice = 1ms;
      queue.enqueue(vcpus[i], 0ns);
    }
  }
  FifoQueue queue;
  std::deque<Vcpu> vcpus;
};

}  // namespace

TEST_CASE("fifo: one after the other, a fixed slice each, weights of no account") {
  Rig rig(3);
  for (uint32_t turn = 0; turn < 9; ++turn) {
    const Nanos now = turn * 1ms;
    REQUIRE(rig.queue.pick(now) == &rig.vcpus[turn % 3]);
    CHECK(rig.queue.waiting() == 2);
    CHECK(rig.queue.turn_end() == now + 1ms);
    CHECK_FALSE(rig.queue.tick(now + 1ms - 1ns));
    CHECK(rig.queue.tick(now + 1ms));
    rig.queue.put(now + 1ms);
  }
}

TEST_CASE("fifo: alone, no tick; a newcomer waits for the rest of the slice") {
  Rig rig(1);
  REQUIRE(rig.queue.pick(0ns) == &rig.vcpus[0]);
  CHECK(rig.queue.turn_end() == kForever);
  CHECK_FALSE(rig.queue.tick(1s));
  Vcpu late;
  late.slice = 1ms;
  rig.queue.enqueue(late, 1s);
  CHECK_FALSE(rig.queue.preempts(late));
  CHECK(rig.queue.turn_end() == 1ms);  // long past: at once
  CHECK(rig.queue.tick(1s));
}

TEST_CASE("fifo: leaving from the head, the middle, the tail and while running") {
  Rig rig(5);
  rig.queue.dequeue(rig.vcpus[2], 0ns);
  rig.queue.dequeue(rig.vcpus[4], 0ns);
  rig.queue.dequeue(rig.vcpus[0], 0ns);
  REQUIRE(rig.queue.pick(0ns) == &rig.vcpus[1]);
  rig.queue.dequeue(rig.vcpus[1], 0ns);
  CHECK(rig.queue.current() == nullptr);
  CHECK(rig.queue.runnable() == 1);
  rig.queue.enqueue(rig.vcpus[2], 0ns);
  REQUIRE(rig.queue.pick(0ns) == &rig.vcpus[3]);
  rig.queue.put(0ns);
  CHECK(rig.queue.pick(0ns) == &rig.vcpus[2]);
  rig.queue.dequeue(rig.vcpus[2], 0ns);
  rig.queue.dequeue(rig.vcpus[3], 0ns);
  CHECK(rig.queue.pick(0ns) == nullptr);
  CHECK(rig.queue.runnable() == 0);
}

TEST_CASE("fifo: movable are those who wait, the longest first; load counts heads") {
  Rig rig(3);
  REQUIRE(rig.queue.pick(0ns) == &rig.vcpus[0]);
  std::array<Vcpu*, 2> out{};
  REQUIRE(rig.queue.movable(out) == 2);
  CHECK(out[0] == &rig.vcpus[1]);
  CHECK(out[1] == &rig.vcpus[2]);
  CHECK(rig.queue.movable(std::span(out).first(1)) == 1);
  CHECK(rig.queue.load() == Weight{3072});
  CHECK(rig.queue.load_of(rig.vcpus[1]) == Weight{1024});
}
