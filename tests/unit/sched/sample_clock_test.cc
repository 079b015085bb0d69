// When a worker looks whether its vCPU busy-waits.
#include "sched/base/sample_clock.h"

#include <doctest/doctest.h>

using namespace sched;
using namespace std::chrono_literals;

namespace {

// Looks in ten seconds of which every so-many-th finds a wait; 0: none does.
int looks_in_ten_seconds(SampleClock& clock, int finds_every) {
  int looks = 0;
  for (Nanos now{}; now < 10s; now = clock.next(11s)) {
    REQUIRE(clock.is_due(now, 11s));
    ++looks;
    clock.looked(now, finds_every != 0 && looks % finds_every == 0);
  }
  return looks;
}

}  // namespace

TEST_CASE("sample clock: looks that find nothing take half a per cent, with finds among them no more than one per cent") {
  SampleClock nothing(10us);
  CHECK(looks_in_ten_seconds(nothing, 0) == 5'000);  // of 10 µs each
  for (const int every : {3, 10, 50}) {
    CAPTURE(every);
    SampleClock clock(10us);
    const int looks = looks_in_ten_seconds(clock, every);
    CHECK(looks - looks / every <= 10'000 + 64);  // and what was saved at the start
    CHECK(looks > 5'000);
  }
}

TEST_CASE("sample clock: after a find the next looks come soon, until several find nothing") {
  SampleClock clock(10us);
  clock.looked(1ms, true);
  Nanos now = clock.next(1s);
  CHECK(now == 1050us);
  for (int i = 0; i < 3; ++i) {
    clock.looked(now, false);
    CHECK(clock.next(1s) == now + 50us);
    now = clock.next(1s);
  }
  clock.looked(now, false);
  CHECK(clock.next(1s) == now + 2ms);
}

TEST_CASE("sample clock: none while nobody waits for the worker, and none without a cost") {
  SampleClock clock(10us);
  CHECK(clock.next(kForever) == kForever);
  CHECK_FALSE(clock.is_due(5ms, kForever));
  CHECK(clock.is_due(5ms, 6ms));
  const SampleClock off;
  CHECK(off.next(6ms) == kForever);
  CHECK_FALSE(off.is_due(5ms, 6ms));
}
