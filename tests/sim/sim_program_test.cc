// The model guests without a simulator: a port on which the test decides who is looking.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "guest/abi.h"
#include "sched/sim/programs.h"

using namespace sched;
using namespace sched::sim;

namespace {

struct FakePort final : Port {
  explicit FakePort(uint32_t vcpus) : Port(vcpus) {}
  void look(uint32_t vcpu) override {
    looked.push_back(vcpu);
    if (program != nullptr && program->poll(vcpu, now)) {
      spinning.erase(vcpu);
      over.push_back(vcpu);
    }
  }
  Program* program = nullptr;
  Nanos now{};
  std::vector<uint32_t> looked;
  std::vector<uint32_t> over;
};

constexpr Nanos kThink{1000};

}  // namespace

TEST_CASE("the histogram's buckets are those of the guests") {
  for (uint64_t ns : {0ull, 7ull, 8ull, 9ull, 1000ull, 123'456'789ull, ~0ull}) {
    CHECK(ack_bucket(ns) == kvmux_hist_bucket(ns));
  }
  static_assert(kAckBuckets == KVMUX_HIST_BUCKETS);
}

TEST_CASE("thinking stays within a quarter of the mean, differs between vCPUs, and always takes time") {
  Thinker thinker(kThink, 2, 7);
  Thinker idle(Nanos{0}, 1, 7);
  Nanos sum{};
  bool differs = false;
  for (int i = 0; i < 4000; ++i) {
    const Nanos a = thinker.think(0).time;
    const Nanos b = thinker.think(1).time;
    REQUIRE(a >= kThink * 3 / 4);
    REQUIRE(a <= kThink * 5 / 4);
    differs = differs || a != b;
    sum += a;
    REQUIRE(idle.think(0).time > Nanos{0});
  }
  CHECK(differs);
  CHECK(sum / 4000 > Nanos{980});
  CHECK(sum / 4000 < Nanos{1020});
}

TEST_CASE("a ticket lock goes to the first in the queue, looking or not; a TTAS lock to who looks") {
  for (const LockKind kind : {LockKind::kTicket, LockKind::kMcs, LockKind::kTtas}) {
    CAPTURE(static_cast<int>(kind));
    FakePort port(4);
    Locks locks(kind, 1, 4, Nanos{}, 1, port);
    CHECK(locks.acquire(0, 0));
    CHECK_FALSE(locks.acquire(0, 1));
    CHECK_FALSE(locks.acquire(0, 2));
    CHECK_FALSE(locks.acquire(0, 3));
    CHECK_FALSE(locks.poll(1));
    port.spinning.insert(2);  // the only one who is running
    locks.release(0, 0);
    if (kind == LockKind::kTtas) {
      CHECK(port.looked == std::vector<uint32_t>{2});
      CHECK(locks.poll(2));
      CHECK_FALSE(locks.poll(1));
      locks.release(0, 2);
      CHECK(locks.poll(3));  // whoever comes first
    } else {
      CHECK(port.looked == std::vector<uint32_t>{1});
      CHECK_FALSE(locks.poll(2));
      CHECK(locks.poll(1));
      locks.release(0, 1);
      CHECK_FALSE(locks.acquire(0, 0));  // behind 2 and 3
      CHECK(locks.poll(2));
      locks.release(0, 2);
      CHECK(locks.poll(3));
      locks.release(0, 3);
      CHECK(locks.poll(0));
    }
  }
}

TEST_CASE("a barrier lets everybody go when the last one arrives, and can be used again") {
  FakePort port(3);
  Barrier barrier(3, port);
  for (int round = 0; round < 2; ++round) {
    CHECK_FALSE(barrier.arrive(2));
    CHECK_FALSE(barrier.arrive(0));
    CHECK_FALSE(barrier.over(0));
    port.spinning.insert(0);
    port.looked.clear();
    CHECK(barrier.arrive(1));
    CHECK(barrier.over(0));
    CHECK(barrier.over(2));
    CHECK(port.looked == std::vector<uint32_t>{0});  // 2 is not running and looks when it is
    port.spinning.erase(0);
  }
}

TEST_CASE("a broadcast is over when the last receiver has handled it; interrupts merge") {
  FakePort port(3);
  IpiProgram program({.think = kThink, .hold = Nanos{0}, .fanout = kAllOthers}, 3, 1, port);
  port.program = &program;
  CHECK(program.next(0, Nanos{0}).kind == Action::Kind::kSpin);  // start_together
  CHECK(program.next(1, Nanos{0}).kind == Action::Kind::kSpin);
  CHECK(program.next(2, Nanos{0}).kind == Action::Kind::kWork);
  CHECK(program.poll(0, Nanos{0}));
  CHECK(program.next(0, Nanos{0}).kind == Action::Kind::kWork);
  const Action send = program.next(0, Nanos{1000});
  CHECK(send.kind == Action::Kind::kSend);
  CHECK(send.receiver == kAllOthers);
  CHECK(program.next(2, Nanos{1100}).receiver == kAllOthers);
  program.handled(1, Nanos{1500});  // one interrupt for both senders
  CHECK(program.next(0, Nanos{2000}).kind == Action::Kind::kSpin);
  CHECK_FALSE(program.poll(0, Nanos{2000}));
  port.spinning.insert(0);
  port.now = Nanos{3000};
  program.handled(2, Nanos{3000});
  CHECK(port.over == std::vector<uint32_t>{0});
  CHECK(port.counters[0].ipis_acked == 2);
  CHECK(port.acks[ack_bucket(1000)] == 1);  // 1 acknowledged early, seen when the wait began
  CHECK(port.acks[ack_bucket(2000)] == 1);
  CHECK(port.counters[2].ipis_acked == 0);  // waits for 0 as well, and is not looking
  CHECK(program.next(2, Nanos{3000}).kind == Action::Kind::kSpin);
  program.handled(0, Nanos{4000});
  CHECK(program.poll(2, Nanos{5000}));
  CHECK(port.counters[2].ipis_acked == 2);
}

TEST_CASE("with handler work an acknowledgement needs work that began after the interrupt was counted") {
  FakePort port(2);
  IpiProgram program({.think = kThink, .hold = Nanos{500}, .fanout = 1, .senders = 1}, 2, 1, port);
  port.program = &program;
  CHECK(program.vector == IrqVector{0x50});
  program.next(0, Nanos{0});
  program.next(1, Nanos{0});
  CHECK(program.poll(0, Nanos{0}));
  program.next(0, Nanos{0});
  CHECK(program.next(0, Nanos{1000}).receiver == 1);
  CHECK_FALSE(program.handler_wanted(1));
  program.handler_begins(1);  // work for an earlier interrupt
  program.handled(1, Nanos{1200});
  CHECK(program.handler_wanted(1));
  program.handler_ends(1, Nanos{1300});
  program.next(0, Nanos{1400});
  CHECK_FALSE(program.poll(0, Nanos{1400}));
  program.handler_begins(1);
  CHECK_FALSE(program.handler_wanted(1));
  CHECK_FALSE(program.poll(0, Nanos{1500}));
  program.handler_ends(1, Nanos{1600});
  CHECK(program.poll(0, Nanos{1600}));
}

TEST_CASE("fan-outs below all draw their receivers without repeats, over everybody else") {
  FakePort port(5);
  IpiProgram program({.think = kThink, .hold = Nanos{0}, .fanout = 2, .senders = 1}, 5, 3, port);
  for (uint32_t i = 0; i < 5; ++i) program.next(i, Nanos{0});
  program.next(0, Nanos{0});
  std::array<int, 5> drawn{};
  for (int turn = 0; turn < 400; ++turn) {
    const uint32_t first = program.next(0, Nanos{1}).receiver;
    const uint32_t second = program.next(0, Nanos{1}).receiver;
    REQUIRE(first != second);
    ++drawn[first];
    ++drawn[second];
    program.handled(first, Nanos{2});
    program.handled(second, Nanos{2});
    REQUIRE(program.next(0, Nanos{3}).kind == Action::Kind::kSpin);
    REQUIRE(program.poll(0, Nanos{3}));
    REQUIRE(program.next(0, Nanos{3}).kind == Action::Kind::kWork);
  }
  CHECK(drawn[0] == 0);
  for (uint32_t i = 1; i < 5; ++i) CHECK(drawn[i] > 150);  // 200 expected, sigma 10
}
