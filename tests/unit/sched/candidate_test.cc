// Whom a spinning vCPU yields to: each rule of the scan as a row, over a made-up VM.
#include <doctest/doctest.h>

#include "candidate_rig.h"

using namespace sched_test;

TEST_CASE("scan: starts after the last boosted one, wraps, and never tries itself") {
  Vm vm(5);
  vm.me = 2;
  vm.running(2);
  vm.preempted(0, true);
  for (uint32_t i = 0; i < 5; ++i) vm.attempts.results[i] = Result::kNotRunnable;
  vm.start_after = 3;
  CHECK(vm.spin() == std::nullopt);
  CHECK(vm.attempts.tried == Tried{4, 0, 1, 3});
  vm.start_after = 4;
  vm.spin();
  CHECK(vm.attempts.tried == Tried{0, 1, 3, 4});
  vm.attempts.results.clear();
  CHECK(vm.spin() == 0u);
  CHECK(vm.attempts.tried == Tried{0});
}

TEST_CASE("scan: skips who runs, is halted, stopped or in between") {
  Vm vm(6);
  vm.running(1);
  vm.at(2).set_halted();
  vm.at(3).set_stopped();
  vm.at(4).set_moving();
  CHECK(vm.spin() == 5u);
  CHECK(vm.attempts.tried == Tried{5});
}

TEST_CASE("scan: a VM of one vCPU, or nobody who waits") {
  Vm alone(1);
  CHECK(alone.spin() == std::nullopt);
  Vm vm(3);
  vm.running(1);
  vm.running(2);
  CHECK(vm.spin() == std::nullopt);
  CHECK(vm.attempts.tried.empty());
}

TEST_CASE("priorities: awaited receiver, pending interrupt, preempted; in kernel mode, preempted there") {
  struct Row {
    const char* what;
    bool spin_in_kernel, awaited, irq, preempted, preempted_in_kernel;
    std::optional<YieldReason> want;
  };
  const Row rows[] = {
      {"awaited counts always", true, true, false, false, false, YieldReason::kIpiReceiver},
      {"awaited before an interrupt", true, true, true, true, true, YieldReason::kIpiReceiver},
      {"interrupt, spinning in kernel mode", true, false, true, false, false, YieldReason::kPendingInterrupt},
      {"interrupt, preempted in user mode", true, false, true, true, false, YieldReason::kPendingInterrupt},
      {"interrupt, spinning in user mode", false, false, true, false, false, YieldReason::kPendingInterrupt},
      {"kernel, preempted in kernel", true, false, false, true, true, YieldReason::kPreempted},
      {"kernel, preempted in user", true, false, false, true, false, std::nullopt},
      {"user, preempted in user", false, false, false, true, false, YieldReason::kPreempted},
      {"user, preempted in kernel", false, false, false, true, true, YieldReason::kPreempted},
      {"woken, not preempted, kernel", true, false, false, false, false, std::nullopt},
      {"woken, not preempted, user", false, false, false, false, false, std::nullopt},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Vm vm(2);
    vm.in_kernel = row.spin_in_kernel;
    vm.ipi.waits[0] = row.awaited ? Tried{1} : Tried{};
    row.preempted ? vm.preempted(1, row.preempted_in_kernel) : vm.woken(1);
    if (row.irq) vm.at(1).set_irq_pending();
    const auto target = vm.spin();
    CHECK(target.has_value() == row.want.has_value());
    if (row.want) CHECK(vm.attempts.reasons.at(0) == *row.want);
  }
}

TEST_CASE("priorities: without an IPI model there is no first priority") {
  Vm vm(2);
  vm.woken(1);
  CHECK(vm.spin() == std::nullopt);
}

TEST_CASE("mainline: leaves out only who was preempted in user mode while we spin in kernel mode") {
  struct Row {
    bool spin_in_kernel, irq, preempted, preempted_in_kernel, good;
  };
  const Row rows[] = {
      {true, false, true, false, false}, {true, true, true, false, true},
      {true, false, true, true, true},   {true, false, false, false, true},
      {false, false, true, false, true}, {false, false, false, false, true},
      {false, true, true, false, true},  {false, false, true, true, true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.spin_in_kernel);
    CAPTURE(row.irq);
    CAPTURE(row.preempted);
    CAPTURE(row.preempted_in_kernel);
    Vm vm(2, CandidateRule::kMainline);
    vm.in_kernel = row.spin_in_kernel;
    row.preempted ? vm.preempted(1, row.preempted_in_kernel) : vm.woken(1);
    if (row.irq) vm.at(1).set_irq_pending();
    CHECK(vm.spin().has_value() == row.good);
  }
}

TEST_CASE("scan: a vCPU that spins itself is eligible every second time it is considered") {
  Vm vm(2);
  vm.spinning(1);
  CHECK(vm.spin() == std::nullopt);
  CHECK(vm.spin() == 1u);
  CHECK(vm.spin() == std::nullopt);
  CHECK(vm.spin() == 1u);
  vm.spinning(1);  // after another run it starts over
  CHECK(vm.spin() == std::nullopt);
}

TEST_CASE("scan: turns of spinning vCPUs are used up only by those that are good otherwise") {
  Vm vm(2);
  vm.at(1).set_running(kW1);
  vm.at(1).set_preempted(false);
  vm.at(1).set_spinning();
  CHECK(vm.spin() == std::nullopt);  // preempted in user mode: not considered
  vm.in_kernel = false;
  CHECK(vm.spin() == std::nullopt);  // its first consideration
  CHECK(vm.spin() == 1u);
}

TEST_CASE("scan: three failed attempts end it; who is not runnable any more does not count") {
  Vm vm(8);
  for (uint32_t i = 1; i < 8; ++i) vm.attempts.results[i] = Result::kFailed;
  vm.attempts.results[2] = Result::kNotRunnable;
  CHECK(vm.spin() == std::nullopt);
  CHECK(vm.attempts.tried == Tried{1, 2, 3, 4});
  vm.policy.tuning.yield_tries = 1;
  vm.spin();
  CHECK(vm.attempts.tried == Tried{1});
  vm.policy.tuning.yield_tries = 3;
  vm.attempts.results.erase(4);
  CHECK(vm.spin() == 4u);
}

TEST_CASE("relaxed: a second round, gated by 'preempted' alone, if the first yielded to nobody") {
  Vm vm(4);
  vm.preempted(1, false);
  vm.woken(2);
  vm.preempted(3, false);
  CHECK(vm.spin() == std::nullopt);
  vm.policy.features.relaxed = true;
  CHECK(vm.spin() == 1u);
  CHECK(vm.attempts.reasons == std::vector{YieldReason::kRelaxed});
  vm.start_after = 1;
  CHECK(vm.spin() == 3u);  // vCPU 2 was not preempted
  vm.at(2).set_irq_pending();
  CHECK(vm.spin() == 2u);  // good in the first round already
  CHECK(vm.attempts.reasons == std::vector{YieldReason::kPendingInterrupt});
}

TEST_CASE("relaxed: the tries start over, unless the policy is v2") {
  const auto run = [](bool reset, std::initializer_list<uint32_t> good_first_round) {
    Vm vm(8);
    vm.policy.features.relaxed = true;
    vm.policy.features.reset_tries = reset;
    for (uint32_t i = 1; i < 8; ++i) {
      vm.preempted(i, false);
      vm.attempts.results[i] = Result::kFailed;
    }
    for (const uint32_t i : good_first_round) vm.preempted(i, true);
    vm.spin();
    return vm.attempts.tried;
  };
  CHECK(run(true, {1, 2, 3}) == Tried{1, 2, 3, 1, 2, 3});
  CHECK(run(true, {1, 2}) == Tried{1, 2, 1, 2, 3});
  // v2: one try is left of the first round.
  CHECK(run(false, {1, 2}) == Tried{1, 2, 1});
  // v2, as posted: the counter ends the round when it comes down to zero. At zero already, it runs into the
  // negative and bounds nothing any more.
  CHECK(run(false, {1, 2, 3}) == Tried{1, 2, 3, 1, 2, 3, 4, 5, 6, 7});
}
