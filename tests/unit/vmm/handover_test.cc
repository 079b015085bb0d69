// A worker from thread to thread, in parts: the inbox, the timer that goes along, and the accounts.
#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "vmm/run/handover_cost.h"
#include "vmm/run/held_use.h"
#include "vmm/run/inbox.h"
#include "vmm/run/preempt_timer.h"

namespace {

using namespace std::chrono_literals;
using namespace vmm;

constexpr Nanos kPatience = 10s;

void never(int) { FAIL("a thread cannot sleep"); }

bool fires(PreemptTimer& timer, Nanos limit) {
  const Nanos end = monotonic_now() + limit;
  do {
    if (timer.take_fired()) return true;
  } while (monotonic_now() < end);
  return false;
}

// A thread that is no worker's own: its timer, and what is done on it.
template <class Work>
void on_a_carrier(Work work) {
  std::thread([&] {
    REQUIRE(PreemptTimer::prepare_thread());
    const auto own = ThreadTimer::create();
    REQUIRE(own);
    work(**own);
  }).join();
}

}  // namespace

TEST_CASE("inbox: what is given is taken once, also when it comes before it is waited for") {
  Inbox<int> inbox;
  CHECK_FALSE(inbox.has_mail());
  CHECK(inbox.give(7) == 0);
  CHECK(inbox.has_mail());
  CHECK(inbox.take(never) == 7);
  CHECK_FALSE(inbox.has_mail());
  std::optional<int> taken;
  std::thread owner([&] { taken = inbox.take(never); });
  CHECK(inbox.give(8) == 0);
  owner.join();
  CHECK(taken == 8);
}

TEST_CASE("inbox: it closes behind what is in it") {
  Inbox<int> inbox;
  CHECK(inbox.give(1) == 0);
  CHECK(inbox.close() == 0);
  CHECK(inbox.take(never) == 1);
  CHECK_FALSE(inbox.take(never));
  CHECK_FALSE(inbox.has_mail());
}

TEST_CASE("arming: what is left behind is disarmed if it was armed, and armed anew elsewhere") {
  Arming arming;
  CHECK_FALSE(arming.moves());
  CHECK_FALSE(arming.arrives(0ns));  // nothing is wanted
  CHECK(arming.change_tick(5ms, 1ms) == 5ms);
  CHECK(arming.moves());
  CHECK(arming.arrives(2ms) == 5ms);
  CHECK(arming.moves());
  CHECK(arming.change_alarm(3ms, 2ms) == 3ms);  // on the way
  CHECK(arming.arrives(4ms) == 3ms);            // it has passed meanwhile: at once
  arming.fired();
  CHECK(arming.fire_now(4ms) == 0ms);
  CHECK(arming.moves());
  CHECK(arming.arrives(4ms) == 0ms);  // a signal at once is not forgotten
}

TEST_CASE("a timer goes along, and its signal comes where it is") {
  Trouble trouble;
  auto timer = PreemptTimer::create(trouble);
  REQUIRE(timer);
  PreemptTimer& tick = **timer;
  tick.arm_tick(monotonic_now() + 20ms);
  tick.leave();
  on_a_carrier([&](ThreadTimer& own) {
    CHECK_FALSE(tick.has_fired());
    tick.come(&own);
    CHECK(fires(tick, kPatience));
    tick.arm_tick(monotonic_now() + 1h);
    tick.leave();
  });
  CHECK_FALSE(tick.has_fired());
  tick.arm_tick(monotonic_now() - 1ms);  // on the way
  CHECK_FALSE(fires(tick, 20ms));
  tick.come(nullptr);
  CHECK(fires(tick, kPatience));
  CHECK_FALSE(trouble.any());
}

TEST_CASE("a timer without a kernel timer where it was made arms nothing there, and all elsewhere") {
  Trouble trouble;
  auto timer = PreemptTimer::create(trouble, false);
  REQUIRE(timer);
  (*timer)->arm_tick(monotonic_now());
  CHECK_FALSE(fires(**timer, 20ms));
  (*timer)->leave();
  on_a_carrier([&](ThreadTimer& own) {
    (*timer)->come(&own);
    CHECK(fires(**timer, kPatience));
    (*timer)->leave();
  });
  (*timer)->come(nullptr);
  CHECK_FALSE(trouble.any());
}

TEST_CASE("a signal to the thread that a timer has left finds nobody") {
  Trouble trouble;
  auto timer = PreemptTimer::create(trouble);
  REQUIRE(timer);
  (*timer)->leave();
  CHECK(send_preempt_signal(static_cast<pid_t>(::syscall(SYS_gettid))) == 0);
  on_a_carrier([&](ThreadTimer& own) {
    (*timer)->come(&own);
    CHECK_FALSE(fires(**timer, 20ms));
    (*timer)->kick();  // comes here; it is no timer's
    CHECK_FALSE((*timer)->take_fired());
    (*timer)->leave();
  });
  (*timer)->come(nullptr);
  CHECK_FALSE(trouble.any());
}

TEST_CASE("held use: CPU time goes on across threads, and a usual way is no loss") {
  HeldUse use;
  const Nanos spin = 3ms;
  const auto burn = [&] {
    for (const Nanos end = thread_cpu_now() + spin; thread_cpu_now() < end;) {
    }
  };
  burn();
  const Nanos before = use.cpu();
  use.leaves(1000us, true);
  std::thread([&] {
    burn();  // nobody's
    CHECK(use.arrives(1010us, true) == 10us);
    CHECK(use.cpu() - before < spin);
    burn();
    CHECK(use.cpu() - before >= spin);
    use.leaves(2000us, true);
  }).join();
  CHECK(use.arrives(5ms, true) == HeldUse::kUsualWay);  // the host had something else to do
  CHECK(use.cpu() - before >= spin);
  CHECK(use.cpu() - before < 2 * spin);
}

TEST_CASE("a hand-over is measured") {
  const auto cost = measure_handover_cost();
  REQUIRE(cost);
  CHECK(*cost > 100ns);
  CHECK(*cost < 10ms);
  MESSAGE("a hand-over costs " << cost->count() << " ns here");
}
