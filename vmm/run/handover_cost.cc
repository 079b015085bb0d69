#include "vmm/run/handover_cost.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <thread>

#include "vmm/run/cpu_choice.h"
#include "vmm/run/held_use.h"
#include "vmm/run/inbox.h"
#include "vmm/run/kept_figure.h"
#include "vmm/run/os_thread.h"
#include "vmm/run/preempt_timer.h"
#include "vmm/thread_signals.h"

namespace vmm {
namespace {

constexpr int kRounds = 5;
constexpr int kHandovers = 500;  // a round
constexpr Nanos kTurn{3'000'000};

// What a worker takes along (worker.cc), and its way.
struct Play {
  Trouble trouble;
  std::unique_ptr<PreemptTimer> timer;
  HeldUse use;
  std::array<Inbox<int>, 2> inboxes;
  std::array<Nanos, kRounds> took{};

  void give(size_t to, int turn) {
    use.leaves(monotonic_now(), true);
    timer->leave();
    if (const int error = inboxes[to].give(turn); error != 0)
      trouble.report(host_error("futex", error).value());
  }
  // Until the other one has closed this one's inbox.
  void play(size_t me, ThreadTimer* mine) {
    Nanos began{};
    for (;;) {
      const auto turn = inboxes[me].take([](int) {});
      if (!turn) return;
      timer->come(mine);
      (void)use.arrives(monotonic_now(), true);
      const Nanos now = monotonic_now();
      if (*turn % kHandovers == 0) {
        if (*turn > 0) took[static_cast<size_t>(*turn / kHandovers - 1)] = (now - began) / kHandovers;
        began = now;
      }
      if (*turn == kRounds * kHandovers) {
        (void)inboxes[1 - me].close();
        return;
      }
      timer->arm_tick(now + kTurn, now);
      give(1 - me, *turn + 1);
    }
  }
};

}  // namespace

Result<Nanos> measure_handover_cost() {
  const int cpu = chosen_cpus(1).cpus.front();
  Play play;
  Result<void> began;
  try {
    const ThreadsWithoutSignals quiet;
    // The first makes the timer, whose own thread it so is, and the second.
    std::thread([&] {
      (void)bind_thread(std::array{cpu});
      auto timer = PreemptTimer::create(play.trouble);
      if (!timer) {
        began = Failure(timer.error());
        return;
      }
      play.timer = std::move(*timer);
      std::thread second([&] {
        (void)bind_thread(std::array{cpu});
        auto mine = ThreadTimer::create();
        if (const auto heard = PreemptTimer::prepare_thread(); !heard || !mine) {
          began = Failure(mine ? heard.error() : mine.error());
          (void)play.inboxes[0].close();
          return;
        }
        play.give(0, 0);
        play.play(1, mine->get());
      });
      play.play(0, nullptr);
      second.join();
      play.timer.reset();
    }).join();
  } catch (const std::system_error& error) {
    return host_error("pthread_create", error.code().value(),
                      "a worker is handed between two threads to see what that costs");
  }
  if (!began) return Failure(began.error());
  if (const auto trouble = play.trouble.first()) return Failure(*trouble);
  // What the host ran in between is not the hand-over's.
  return *std::min_element(play.took.begin(), play.took.end());
}

Nanos handover_cost_of_host() {
  static const Nanos cost = figure_of_boot("handover-cost-ns", measure_handover_cost);
  return cost;
}

}  // namespace vmm
