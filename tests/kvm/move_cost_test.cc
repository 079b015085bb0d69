// What moves cost here, by moves that are made.
#include "vmm/run/move_cost.h"

#include <doctest/doctest.h>

#include <thread>

#include "tests/kvm/require_kvm.h"
#include "vmm/run/moves.h"

using namespace vmm;
using namespace std::chrono_literals;

TEST_CASE("moves: the vCPU runs here and on another thread, until one was cheap or there were enough") {
  std::vector<std::thread::id> threads;
  Nanos took = 15ms;
  const auto run = [&] {
    threads.push_back(std::this_thread::get_id());
    return took;
  };
  auto moved = times_of_moves(run, {.most = 5, .enough = kDearMove});
  REQUIRE(moved);
  CHECK(*moved == std::vector<Nanos>(5, 15ms));
  REQUIRE(threads.size() == 10);
  for (size_t i = 0; i < threads.size(); ++i)
    CHECK((threads[i] == std::this_thread::get_id()) == (i % 2 == 0));
  took = 5us;
  moved = times_of_moves(run, {.most = 5, .enough = kDearMove});
  REQUIRE(moved);
  CHECK(moved->size() == 1);
  moved = times_of_moves(run, {.most = 5});
  REQUIRE(moved);
  CHECK(moved->size() == 5);
  moved = times_of_moves(run, {.most = 5, .limit = 1ns});
  REQUIRE(moved);
  CHECK(moved->size() == 1);
}

TEST_CASE("moves: measured on this host, and known afterwards") {
  REQUIRE_KVM(system);
  CHECK(system.fd() >= 0);
  const auto measured = measure_move_cost();
  REQUIRE(measured);
  CHECK(*measured >= 0ns);
  CHECK(*measured < 1s);
  MESSAGE("a move costs " << measured->count() << " ns here");
  const Nanos begin = monotonic_now();
  const Nanos known = move_cost_of_host();
  for (int i = 0; i < 1000; ++i) CHECK(move_cost_of_host() == known);
  CHECK(monotonic_now() - begin < 500ms);
  // One boot of one kernel: both are dear, or neither is.
  CHECK((known >= kDearMove) == (*measured >= kDearMove));
}
