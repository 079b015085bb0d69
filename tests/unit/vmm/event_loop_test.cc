// What idle workers sleep on, both kinds: no wake-up is lost, whoever sends it and whenever, and sleep ends at its
// instant.
#include "vmm/run/event_loop.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

using namespace std::chrono_literals;
using vmm::EventLoop;
using vmm::EventLoopKind;
using vmm::Nanos;

namespace {

std::unique_ptr<EventLoop> make(EventLoopKind kind) {
  auto loop = EventLoop::create(kind);
  if (!loop && kind == EventLoopKind::kIoUring) {
    MESSAGE("skipped for io_uring: " << loop.error().text());
    return nullptr;
  }
  REQUIRE_MESSAGE(loop, loop.error().text());
  REQUIRE((*loop)->kind() == kind);
  return std::move(*loop);
}

constexpr Nanos kLong{30s};

Nanos time_of_wait(EventLoop& loop, Nanos limit) {
  const Nanos start = vmm::monotonic_now();
  CHECK(loop.wait(start + limit) == 0);
  return vmm::monotonic_now() - start;
}

}  // namespace

TEST_CASE("event loop: sleep ends at its instant, and at once where that has passed") {
  for (const EventLoopKind kind : {EventLoopKind::kIoUring, EventLoopKind::kEpoll}) {
    const auto loop = make(kind);
    if (loop == nullptr) continue;
    const Nanos start = vmm::monotonic_now();
    int waits = 0;  // one may end early
    for (; vmm::monotonic_now() < start + 20ms; ++waits) CHECK(loop->wait(start + 20ms) == 0);
    CHECK(waits <= 5);
    CHECK(time_of_wait(*loop, -1ms) < 1s);
  }
}

TEST_CASE("event loop: a wake-up from before counts, once") {
  for (const EventLoopKind kind : {EventLoopKind::kIoUring, EventLoopKind::kEpoll}) {
    const auto loop = make(kind);
    if (loop == nullptr) continue;
    for (int i = 0; i < 3; ++i) {
      CHECK(loop->wake(nullptr) == 0);
      CHECK(loop->wake(nullptr) == 0);
      CHECK(time_of_wait(*loop, kLong) < kLong);
      while (time_of_wait(*loop, 1ms) < 1ms) {  // one that ended too early at most
        CHECK(++i < 10);
      }
    }
  }
}

TEST_CASE("event loop: many more wake-ups than a ring has room for, from loop to loop") {
  for (const EventLoopKind to : {EventLoopKind::kIoUring, EventLoopKind::kEpoll}) {
    for (const EventLoopKind from : {EventLoopKind::kIoUring, EventLoopKind::kEpoll}) {
      const auto sleeper = make(to);
      const auto sender = make(from);
      if (sleeper == nullptr || sender == nullptr) continue;
      for (int i = 0; i < 2000; ++i) CHECK(sleeper->wake(sender.get()) == 0);
      CHECK(time_of_wait(*sleeper, kLong) < kLong);
      CHECK(sender->wake(nullptr) == 0);  // and the sender can still sleep and be woken
      CHECK(time_of_wait(*sender, kLong) < kLong);
    }
  }
}

TEST_CASE("event loop: two that wake each other lose no wake-up") {
  constexpr int kRounds = 3000;
  for (const EventLoopKind kind : {EventLoopKind::kIoUring, EventLoopKind::kEpoll}) {
    std::atomic<int> ball{0};
    std::atomic<EventLoop*> loops[2] = {nullptr, nullptr};
    std::atomic<bool> gave_up{false};
    const auto play = [&](int me) {
      auto mine = EventLoop::create(kind);
      if (!mine) {
        gave_up = true;
        return;
      }
      loops[me] = mine->get();
      while (loops[1 - me] == nullptr && !gave_up) std::this_thread::yield();
      while (ball < kRounds && !gave_up) {
        if (ball % 2 == me) {
          ++ball;
          if (loops[1 - me].load()->wake(mine->get()) != 0) gave_up = true;
          continue;
        }
        const Nanos start = vmm::monotonic_now();
        if ((*mine)->wait(start + kLong) != 0 || vmm::monotonic_now() - start >= kLong) gave_up = true;
      }
      loops[me] = nullptr;
      while (loops[1 - me] != nullptr && !gave_up) std::this_thread::yield();
    };
    if (make(kind) == nullptr) continue;
    std::thread other(play, 1);
    play(0);
    other.join();
    CHECK(ball >= kRounds);
    CHECK_FALSE(gave_up);
  }
}
