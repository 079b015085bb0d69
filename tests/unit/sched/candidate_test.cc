// Whom a spinning vCPU yields to: each rule of the scan as a row, over a made-up VM.
#include "sched/candidate.h"

#include <doctest/doctest.h>

#include <functional>

#include "support.h"

using namespace sched_test;

namespace {

using Result = YieldAttempt::Result;

// Tells exactly who awaits whom.
class FakeIpi final : public IpiModel {
 public:
  void sent(const IpiSend&, Nanos) override {}
  void eoi(uint32_t, IrqVector, Nanos) override {}
  bool awaits(uint32_t sender, uint32_t receiver, Nanos) const override {
    const auto found = waits.find(sender);
    return found != waits.end() && std::count(found->second.begin(), found->second.end(), receiver) > 0;
  }
  std::optional<uint32_t> next_awaited(uint32_t sender, uint32_t after, Nanos) const override {
    if (on_ask) on_ask();
    const auto found = waits.find(sender);
    if (found == waits.end() || found->second.empty()) return std::nullopt;
    for (const uint32_t receiver : found->second) {
      if (receiver > after) return receiver;
    }
    return found->second.front();
  }

  std::map<uint32_t, std::vector<uint32_t>> waits;  // receivers ascending
  std::function<void()> on_ask;
};

// Writes down who was tried; fails where told to.
class Attempts final : public YieldAttempt {
 public:
  Result operator()(uint32_t target, YieldReason reason) override {
    tried.push_back(target);
    reasons.push_back(reason);
    const auto found = results.find(target);
    return found == results.end() ? Result::kDone : found->second;
  }
  std::vector<uint32_t> tried;
  std::vector<YieldReason> reasons;
  std::map<uint32_t, Result> results;
};

// A VM of n vCPUs, all preempted in kernel mode on worker 1; vCPU 0 spins.
class Vm {
 public:
  explicit Vm(uint32_t n, CandidateRule rule = CandidateRule::kPriorities)
      : statuses_(new Status[n]), pulses_(new Pulse[n]), n_(n) {
    policy.features.candidates = rule;
    for (uint32_t i = 1; i < n; ++i) preempted(i, true);
    at(0).set_running(kW0);
  }
  Status& at(uint32_t i) { return statuses_[i]; }
  void running(uint32_t i) { at(i).set_running(kW1); }
  void preempted(uint32_t i, bool kernel) {
    at(i).set_running(kW1);
    at(i).set_preempted(kernel);
  }
  void woken(uint32_t i) {  // waits, but was not preempted
    at(i).set_running(kW1);
    at(i).set_moving();
    at(i).set_queued(kW1);
  }
  // Taken off in mid-work at this time.
  void preempted_at(uint32_t i, int64_t when) {
    preempted(i, false);
    pulses_[i].off_since = when;
  }
  // Took itself off in a wait that began at this time.
  void waiting_since(uint32_t i, int64_t when) {
    spinning(i);
    pulses_[i].waiting_since = when;
  }
  void spinning(uint32_t i) {
    preempted(i, true);
    at(i).set_spinning();
  }
  std::optional<uint32_t> spin() {
    attempts.tried.clear();
    attempts.reasons.clear();
    return directed_yield(policy,
                          {{statuses_.get(), n_},
                           {pulses_.get(), n_},
                           me,
                           start_after,
                           in_kernel,
                           ipi.waits.empty() ? nullptr : &ipi,
                           handovers,
                           spins_before,
                           0ns},
                          attempts);
  }

  Policy policy;
  FakeIpi ipi;
  Attempts attempts;
  uint32_t me = 0;
  uint32_t start_after = 0;
  bool in_kernel = true;
  bool handovers = true;
  uint32_t spins_before = 0;

 private:
  std::unique_ptr<Status[]> statuses_;
  std::unique_ptr<Pulse[]> pulses_;
  uint32_t n_;
};

using Tried = std::vector<uint32_t>;

}  // namespace

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
  vm.at(2).set_after_loan();
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
  for (vm.spins_before = 0; vm.spins_before < kGuesses; ++vm.spins_before) CHECK(vm.spin() == 5u);
  for (const uint32_t next : {1u, 2u, 3u, 4u}) {
    CHECK(vm.spin() == next);
    vm.start_after = next;
  }
}
