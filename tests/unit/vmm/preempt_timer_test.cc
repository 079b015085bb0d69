// The lazily armed timer: it may come early, never not at all.
#include "vmm/run/preempt_timer.h"

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using vmm::Nanos;
using vmm::PreemptTimer;

constexpr Nanos kPatience = 10s;  // for signals that must come; a busy host takes its time

std::unique_ptr<PreemptTimer> make_timer() {
  static vmm::Trouble trouble;
  auto timer = PreemptTimer::create(trouble);
  REQUIRE(timer.has_value());
  return std::move(*timer);
}

// When the next signal came, if it did within `limit`.
std::optional<Nanos> wait_for_signal(PreemptTimer& timer, Nanos limit) {
  const Nanos end = vmm::monotonic_now() + limit;
  do {
    if (timer.take_fired()) return vmm::monotonic_now();
  } while (vmm::monotonic_now() < end);
  return std::nullopt;
}

// As a run loop does it: woken too soon, it asks again. How often it was woken up to `at`.
int signals_until(PreemptTimer& timer, Nanos at) {
  for (int count = 1;; ++count) {
    const auto came = wait_for_signal(timer, kPatience);
    REQUIRE(came.has_value());
    if (*came >= at) return count;
    timer.arm_tick(at);
  }
}

}  // namespace

TEST_CASE("a timer that was asked for once comes at its instant") {
  const auto timer = make_timer();
  for (const Nanos ahead : {0us, 200us, 3000us}) {
    const Nanos at = vmm::monotonic_now() + ahead;
    timer->arm_tick(at);
    const auto came = wait_for_signal(*timer, kPatience);
    REQUIRE(came.has_value());
    CHECK(*came >= at);
  }
}

TEST_CASE("an earlier instant replaces a later one") {
  const auto timer = make_timer();
  const Nanos start = vmm::monotonic_now();
  timer->arm_tick(start + 1h);
  timer->arm_tick(start + 1ms);
  const auto came = wait_for_signal(*timer, kPatience);
  REQUIRE(came.has_value());
  CHECK(*came >= start + 1ms);
}

TEST_CASE("after many short turns the last one still gets its signal, after one false alarm at most") {
  const auto timer = make_timer();
  for (int round = 0; round < 5; ++round) {
    Nanos at{};
    for (int turn = 0; turn < 1000; ++turn) {
      at = vmm::monotonic_now() + 3ms;
      timer->arm_tick(at);
    }
    if (timer->take_fired()) timer->arm_tick(at);  // the host held this loop up
    CHECK(signals_until(*timer, at) <= 2);
  }
}

TEST_CASE("turns that last get their own signals: none is early") {
  const auto timer = make_timer();
  Nanos at = vmm::monotonic_now() + 2ms;
  timer->arm_tick(at);
  for (int turn = 0; turn < 20; ++turn) {
    // Each is replaced after a quarter of its time.
    Nanos now = vmm::monotonic_now();
    for (const Nanos until = now + 500us; now < until;) now = vmm::monotonic_now();
    if (now >= at) timer->take_fired();
    at = now + 2ms;
    timer->arm_tick(at);
  }
  const auto came = wait_for_signal(*timer, kPatience);
  REQUIRE(came.has_value());
  CHECK(*came >= at);
}

TEST_CASE("who wants no signal gets none but one that was on its way") {
  const auto timer = make_timer();
  timer->arm_tick(vmm::monotonic_now() + 2ms);
  timer->arm_tick(sched::kForever);
  wait_for_signal(*timer, 20ms);
  timer->arm_tick(sched::kForever);
  CHECK_FALSE(wait_for_signal(*timer, 20ms).has_value());
}

TEST_CASE("the earlier of tick and LAPIC deadline counts, and the later one comes after it") {
  const auto timer = make_timer();
  const Nanos start = vmm::monotonic_now();
  timer->arm_tick(start + 3ms);
  timer->arm_alarm(start + 1ms);
  const auto first = wait_for_signal(*timer, kPatience);
  REQUIRE(first.has_value());
  CHECK(*first >= start + 1ms);
  CHECK(timer->tick_at() == start + 3ms);
  timer->arm_alarm(sched::kForever);  // as before an entry: the tick is still to come
  const auto second = wait_for_signal(*timer, kPatience);
  REQUIRE(second.has_value());
  CHECK(*second >= start + 3ms);
}

TEST_CASE("a deadline that has passed already fires at once, the zero of time as well") {
  const auto timer = make_timer();
  for (const Nanos at : {Nanos{}, Nanos{-5}, vmm::monotonic_now() - 1ms}) {
    timer->arm_alarm(at);
    CHECK(wait_for_signal(*timer, kPatience).has_value());
  }
}
