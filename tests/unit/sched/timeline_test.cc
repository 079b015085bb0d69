#include "sched/queue/timeline.h"

#include <doctest/doctest.h>

#include <deque>

#include "sched/base/rng.h"
#include "support.h"

using namespace sched_test;

namespace {

Entity entity(uint32_t id, int64_t weight, int64_t vruntime, int64_t deadline) {
  Entity e;
  e.tie = id;
  e.weight = {weight};
  e.vruntime = {vruntime};
  e.deadline = {deadline};
  return e;
}

}  // namespace

TEST_CASE("virtual time: Δvruntime = Δexec · 1024 / weight, and the way back never falls short") {
  CHECK(to_virtual(1000ns, Weight{1024}) == Vruntime{1000});
  CHECK(to_virtual(1000ns, Weight{2048}) == Vruntime{500});
  CHECK(to_virtual(1000ns, Weight{512}) == Vruntime{2000});
  CHECK(to_virtual(3ns, Weight{2048}) == Vruntime{1});
  CHECK(to_real(Vruntime{1000}, Weight{2048}) == 2000ns);
  CHECK(to_real(Vruntime{1}, Weight{3}) == 1ns);
  CHECK(to_real(Vruntime{1000}, Weight{1024}) == 1000ns);
  Rng rng(3);
  for (int i = 0; i < 1000; ++i) {
    const Vruntime service{1 + static_cast<int64_t>(rng.below(10'000'000))};
    const Weight weight{2 + static_cast<int64_t>(rng.below(1 << 20))};
    CHECK(to_virtual(to_real(service, weight), weight) >= service);
  }
}

TEST_CASE("timeline: the average is the load-weighted mean of the members, current included") {
  Timeline timeline;
  Entity a = entity(0, 1024, 100, 1000);
  Entity b = entity(1, 3072, 200, 900);
  timeline.join(a);
  timeline.join(b);
  // (1024 · 100 + 3072 · 200) / 4096
  CHECK(timeline.average() == Vruntime{175});
  CHECK(timeline.load() == Weight{4096});
  CHECK(timeline.members() == 2);
  CHECK(timeline.lag(a) == Vruntime{75});
  CHECK(timeline.lag(b) == Vruntime{-25});
  timeline.set_current(a);
  CHECK(timeline.average() == Vruntime{175});
  timeline.advance_current({400});  // (1024 · 500 + 3072 · 200) / 4096
  CHECK(timeline.average() == Vruntime{275});
  timeline.check_sums();
}

TEST_CASE("timeline: the average is rounded down, below zero as well") {
  Timeline timeline;
  Entity a = entity(0, 1, -1, 0);
  Entity b = entity(1, 1, 0, 0);
  timeline.join(a);
  timeline.join(b);
  CHECK(timeline.average() == Vruntime{-1});  // of −1/2
}

TEST_CASE("timeline: eligible is vruntime ≤ average, without the average's rounding") {
  Timeline timeline;
  Entity a = entity(0, 1024, 10, 0);
  Entity b = entity(1, 1024, 11, 0);
  timeline.join(a);
  timeline.join(b);
  CHECK(timeline.eligible(a));  // 10 ≤ 10.5
  CHECK_FALSE(timeline.eligible(b));
  CHECK(timeline.eligible(Vruntime{10}));
  b.weight = {1024};
  timeline.replace(b, {10}, {0}, {1024});
  CHECK(timeline.eligible(b));  // exactly at the average
}

TEST_CASE("timeline: keeps the last average while it has no members") {
  Timeline timeline;
  Entity a = entity(0, 1024, 500, 600);
  timeline.join(a);
  timeline.set_current(a);
  timeline.advance_current({250});
  timeline.leave(a);
  CHECK(timeline.members() == 0);
  CHECK(timeline.average() == Vruntime{750});
  CHECK(timeline.current() == nullptr);
  CHECK_FALSE(a.queued);
}

TEST_CASE("timeline: picks the earliest deadline among the eligible") {
  Timeline timeline;
  Entity late = entity(0, 1024, 0, 300);
  Entity early_but_ahead = entity(1, 1024, 100, 110);
  Entity early = entity(2, 1024, 20, 200);
  for (Entity* e : {&late, &early_but_ahead, &early}) timeline.join(*e);
  // Average 40: the one at 100 is not eligible.
  CHECK(timeline.pick() == &early);
  CHECK(timeline.peek() == &early);
  timeline.set_current(early);
  CHECK(timeline.peek() == &early);  // current competes
  timeline.advance_current({100});   // at 120, average 73
  CHECK(timeline.peek() == &late);
  timeline.put_current();
  CHECK(timeline.pick() == &late);
}

TEST_CASE("timeline: a nomination goes before deadlines, is used once, and only within its slack") {
  Timeline timeline;
  Entity a = entity(0, 1024, 0, 10);
  Entity b = entity(1, 1024, 20, 500);
  timeline.join(a);
  timeline.join(b);
  SUBCASE("past the average with slack 0: not honoured, and gone") {
    timeline.nominate(b, Nomination(0ns));
    CHECK(timeline.pick() == &a);
    timeline.replace(b, {0}, {500}, {1024});
    CHECK(timeline.pick() == &a);
  }
  SUBCASE("exactly at its slack past the average: honoured once") {
    timeline.nominate(b, Nomination(10ns));
    CHECK(timeline.pick() == &b);
    CHECK(timeline.pick() == &a);
  }
  SUBCASE("one tick beyond its slack: not honoured") {
    timeline.nominate(b, Nomination(9ns));
    CHECK(timeline.pick() == &a);
  }
  SUBCASE("the slack counts by the weight at the pick") {
    timeline.nominate(b, Nomination(10ns));
    timeline.replace(b, {20}, {500}, {2048});  // average 13.3, and 10 ns are 5 ticks now
    CHECK(timeline.pick() == &a);
  }
  SUBCASE("the nominee leaves: forgotten") {
    timeline.nominate(b, Nomination(100ns));
    timeline.leave(b);
    CHECK(timeline.nominee() == nullptr);
    timeline.join(b);
    CHECK(timeline.pick() == &a);
  }
}

TEST_CASE("timeline: replace moves a member in order and keeps the sums") {
  Timeline timeline;
  Entity a = entity(0, 1024, 0, 10);
  Entity b = entity(1, 1024, 0, 20);
  timeline.join(a);
  timeline.join(b);
  timeline.replace(b, {0}, {5}, {2048});
  CHECK(timeline.pick() == &b);
  CHECK(timeline.load() == Weight{3072});
  timeline.set_current(b);
  timeline.replace(b, {30}, {40}, {1024});  // the current one as well
  CHECK(timeline.average() == Vruntime{15});
  CHECK(timeline.current() == &b);
  timeline.check_sums();
}

TEST_CASE("timeline: lags, weighted, sum to zero within one tick a unit of weight, whatever happens") {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::deque<Entity> entities(12);
    Timeline timeline;
    for (int step = 0; step < 200; ++step) {
      Entity& e = entities[rng.below(entities.size())];
      const Vruntime somewhere{static_cast<int64_t>(rng.below(2'000'000)) - 1'000'000};
      const Weight weight{2 + static_cast<int64_t>(rng.below(5000))};
      if (!e.queued) {
        e.vruntime = somewhere;
        e.deadline = e.vruntime + Vruntime{1000};
        e.weight = weight;
        timeline.join(e);
      } else if (rng.below(3) == 0) {
        timeline.leave(e);
      } else if (timeline.current() == &e) {
        timeline.advance_current({static_cast<int64_t>(rng.below(5000))});
        if (rng.below(2) == 0) timeline.put_current();
      } else if (timeline.current() == nullptr && rng.below(2) == 0) {
        timeline.set_current(e);
      } else {
        timeline.replace(e, somewhere, somewhere + Vruntime{500}, weight);
      }
      timeline.check_sums();
      int64_t sum = 0;
      for (const Entity& m : entities) {
        if (m.queued) sum += m.weight.value * timeline.lag(m).ticks;
      }
      // The average is rounded down by less than one tick, which counts once for every unit of weight.
      REQUIRE(sum <= 0);
      REQUIRE(-sum < std::max<int64_t>(1, timeline.load().value));
    }
  }
}
