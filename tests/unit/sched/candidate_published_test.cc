// The rules for candidates that know more, or remember less: vee21, critical, oracle.
#include <doctest/doctest.h>

#include "candidate_rig.h"
#include "guest_says.h"

using namespace sched_test;

TEST_CASE("candidates=vee21: the awaited receiver, wherever the round stands; then mainline's choice") {
  Vm vm(5, CandidateRule::kVee21);
  vm.in_kernel = false;
  vm.ipi.waits[0] = {3};
  CHECK(vm.spin() == 3);
  CHECK(vm.attempts.reasons.front() == YieldReason::kIpiReceiver);
  vm.running(3);
  CHECK(vm.spin() == 1);
  CHECK(vm.attempts.reasons.front() == YieldReason::kPreempted);
}

TEST_CASE("candidates=critical: who is inside a critical section; then mainline's choice") {
  Vm vm(5, CandidateRule::kCritical);
  vm.in_kernel = false;
  GuestSays guest(5);
  vm.pages = guest.all();
  CHECK(vm.spin() == 1);
  guest.owns(4, 7);
  CHECK(vm.spin() == 4);
  CHECK(vm.attempts.reasons.front() == YieldReason::kOwner);
  vm.pages = {};
  CHECK(vm.spin() == 1);
}

TEST_CASE("candidates=oracle: whom the yielder needs, for what it is needed; else who works, and nobody who waits") {
  Vm vm(5, CandidateRule::kOracle);
  GuestSays guest(5);
  vm.pages = guest.all();
  guest.waits(0, GuestWait::kLock, 7);
  guest.owns(4, 7);
  CHECK(vm.spin() == 4);
  CHECK(vm.attempts.reasons.front() == YieldReason::kOwner);

  vm.running(4);  // the owner has a worker
  guest.waits(1, GuestWait::kLock, 7);
  guest.waits(2, GuestWait::kLock, 7);
  CHECK(vm.spin() == 3);
  guest.waits(3, GuestWait::kLock, 7);
  CHECK_FALSE(vm.spin().has_value());

  guest.awaits(0, 2);
  CHECK(vm.spin() == 2);
  CHECK(vm.attempts.reasons.front() == YieldReason::kIpiReceiver);
}

TEST_CASE("candidates=oracle: of a guest that publishes nothing, kvmux' guess") {
  Vm vm(4, CandidateRule::kOracle);
  vm.preempted_at(2, 50);
  vm.preempted_at(3, 40);
  CHECK(vm.spin() == 2);
  CHECK(vm.attempts.reasons.front() == YieldReason::kHolder);
}
