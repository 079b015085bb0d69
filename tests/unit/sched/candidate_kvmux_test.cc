// Whom kvmux's spinners yield to: awaited receivers and chains, the likely holder, the longest waiter.
#include <doctest/doctest.h>

#include "candidate_rig.h"

using namespace sched_test;

TEST_CASE("kvmux: who is awaited comes first, spinning or not") {
  Vm vm(6, CandidateRule::kKvmux);
  vm.ipi.waits[0] = {4};
  CHECK(vm.spin() == 4u);
  CHECK(vm.attempts.reasons == std::vector{YieldReason::kIpiReceiver});
  vm.spinning(4);
  CHECK(vm.spin() == 4u);
  vm.running(4);  // awaited and already running
  CHECK(vm.spin() != 4u);
}

TEST_CASE("kvmux: then whoever was taken off in mid-work last, then the longest waiter") {
  Vm vm(6, CandidateRule::kKvmux);
  vm.preempted_at(1, 100);
  vm.preempted_at(2, 300);
  vm.preempted_at(3, 200);
  vm.waiting_since(4, 40);
  vm.waiting_since(5, 50);
  CHECK(vm.spin() == 2u);
  CHECK(vm.attempts.reasons == std::vector{YieldReason::kHolder});
  for (const uint32_t i : {1u, 2u, 3u}) vm.running(i);
  CHECK(vm.spin() == 4u);
  CHECK(vm.attempts.reasons == std::vector{YieldReason::kWaiter});
  vm.handovers = false;  // yields to waiters do not help in this VM: as everybody else's turn comes
  CHECK(vm.spin() != 4u);
}

TEST_CASE(
    "kvmux: whoever let go of the lock on a loan is not guessed again, but has its turn with the others") {
  Vm vm(4, CandidateRule::kKvmux);
  vm.preempted_at(1, 100);
  vm.preempted_at(2, 300);
  vm.after_donation(2);
  vm.running(3);
  vm.in_kernel = false;
  CHECK(vm.spin() == 1u);
  vm.running(1);
  CHECK(vm.spin() == 2u);
  CHECK(vm.attempts.reasons == std::vector{YieldReason::kPreempted});
}

TEST_CASE("kvmux: all awaited are tried once each, after the last boosted one first") {
  Vm vm(8, CandidateRule::kKvmux);
  vm.ipi.waits[0] = {1, 3, 6};
  for (const uint32_t i : {1u, 3u, 6u}) vm.attempts.results[i] = Result::kNotRunnable;
  vm.start_after = 3;
  vm.spin();
  CHECK(Tried(vm.attempts.tried.begin(), vm.attempts.tried.begin() + 3) == Tried{6, 1, 3});
}

TEST_CASE("kvmux: a chain of waits is followed to its end while its links spin") {
  Vm vm(6, CandidateRule::kKvmux);
  vm.ipi.waits[0] = {1};
  vm.ipi.waits[1] = {2};
  vm.ipi.waits[2] = {3};
  vm.spinning(1);
  vm.spinning(2);
  CHECK(vm.spin() == 3u);
  CHECK(vm.attempts.reasons == std::vector{YieldReason::kChain});
  SUBCASE("a link that does not spin does not wait: it is the end") {
    vm.preempted(2, true);
    CHECK(vm.spin() == 2u);
  }
  SUBCASE("the end runs already: the direct receiver instead") {
    vm.running(3);
    CHECK(vm.spin() == 1u);
    CHECK(vm.attempts.reasons == std::vector{YieldReason::kIpiReceiver});
  }
  SUBCASE("no further than the depth") {
    vm.policy.tuning.chain_depth = 1;
    CHECK(vm.spin() == 2u);
  }
  SUBCASE("depth 0 follows none") {
    vm.policy.tuning.chain_depth = 0;
    CHECK(vm.spin() == 1u);
  }
}

TEST_CASE("kvmux: chains with cycles end") {
  Vm vm(4, CandidateRule::kKvmux);
  vm.spinning(1);
  vm.spinning(2);
  vm.spinning(3);
  SUBCASE("back to the spinner") {
    vm.ipi.waits = {{0, {1}}, {1, {2}}, {2, {0}}};
    CHECK(vm.spin() == 2u);  // the last one before ourselves
  }
  SUBCASE("beside the spinner") {
    vm.ipi.waits = {{0, {1}}, {1, {2}}, {2, {3}}, {3, {1}}};
    CHECK(vm.spin().has_value());
  }
  SUBCASE("two that wait for each other") {
    vm.ipi.waits = {{0, {1}}, {1, {2}}, {2, {1}}};
    vm.policy.tuning.chain_depth = 64;
    CHECK(vm.spin().has_value());
  }
}

TEST_CASE("kvmux: ends when acknowledgements come in during the scan") {
  Vm vm(8, CandidateRule::kKvmux);
  vm.ipi.waits[0] = {2, 5};
  vm.attempts.results = {{2, Result::kNotRunnable}, {5, Result::kNotRunnable}};
  int asked = 0;
  vm.ipi.on_ask = [&] {
    // After the first answer vCPU 2 acknowledges, and the search never comes round to it again.
    if (++asked == 2) vm.ipi.waits[0] = {5};
    REQUIRE(asked < 100);
  };
  CHECK(vm.spin() == 1u);
}

TEST_CASE("kvmux: failures among the awaited leave the likely holder its try") {
  Vm vm(8, CandidateRule::kKvmux);
  vm.ipi.waits[0] = {1, 2, 3, 4};
  for (const uint32_t i : {1u, 2u, 3u, 4u}) vm.attempts.results[i] = Result::kFailed;
  vm.start_after = 4;
  vm.preempted_at(6, 100);
  CHECK(vm.spin() == 6u);
  CHECK(vm.attempts.tried == Tried{1, 2, 3, 6});
}

TEST_CASE("kvmux: after four guesses in vain, everybody gets a turn") {
  Vm vm(6, CandidateRule::kKvmux);
  vm.in_kernel = false;
  for (uint32_t i = 1; i < 6; ++i) vm.preempted_at(i, i == 5 ? 900 : 100);
  for (vm.spins_before = 0; vm.spins_before < Tuning{}.guesses; ++vm.spins_before) CHECK(vm.spin() == 5u);
  for (const uint32_t next : {1u, 2u, 3u, 4u}) {
    CHECK(vm.spin() == next);
    vm.start_after = next;
  }
}
