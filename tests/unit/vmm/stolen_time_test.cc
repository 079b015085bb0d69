// Whose loss it is when the host takes a worker's CPU; with clocks of the test's own.
#include "vmm/run/stolen_time.h"

#include <doctest/doctest.h>

using vmm::Nanos;
using vmm::StolenTime;
using namespace std::chrono_literals;

namespace {

// A worker as vmm/run/worker.cc asks: after long stretches, and before a vCPU leaves.
class Thread {
 public:
  void comes() { stolen_.came(wall_); }
  Nanos runs(Nanos wall, Nanos lost) {
    wall_ += wall;
    cpu_ += wall - lost;
    stretch_ = wall;
    return wall >= StolenTime::kLongStretch ? ask() : Nanos{};
  }
  Nanos leaves() { return ask(); }
  void sleeps(Nanos time) {
    wall_ += time;
    stolen_.slept(time);
  }

 private:
  Nanos ask() { return stolen_.worth_asking(wall_, stretch_) ? stolen_.take(wall_, cpu_) : Nanos{}; }
  Nanos stretch_{};
  Nanos wall_{1h};
  Nanos cpu_{1s};
  StolenTime stolen_{wall_, cpu_};
};

}  // namespace

TEST_CASE("a thousand losses of 20 us are theirs whom they hit, not the successor's") {
  for (const Nanos clean : {Nanos{20ms}, Nanos{250us}}) {
    Thread thread;
    thread.comes();
    Nanos a{};
    for (int i = 0; i < 1000; ++i) a += thread.runs(150us, 20us);
    a += thread.leaves();
    thread.comes();
    Nanos b = thread.runs(clean, 0us);
    b += thread.leaves();
    CHECK(a == 20ms);
    CHECK(b == Nanos{});
  }
}

TEST_CASE("short stays in turn: what is lost in one of them is at most one question's worth wrong") {
  Thread thread;
  Nanos a{};
  Nanos b{};
  for (int i = 0; i < 1000; ++i) {  // only a loses
    thread.comes();
    a += thread.runs(150us, 20us);
    a += thread.leaves();
    thread.comes();
    b += thread.runs(300us, 0us);
    b += thread.leaves();
  }
  CHECK(a + b <= 20ms);
  CHECK(a + b >= 19ms);
}

TEST_CASE("neither sleep nor what was lost before the vCPU came is its loss") {
  Thread thread;
  thread.sleeps(50ms);
  thread.comes();
  CHECK(thread.runs(1ms, 0us) == Nanos{});
  CHECK(thread.runs(1ms, 400us) == 400us);
  CHECK(thread.leaves() == Nanos{});
}
