// A VM in the state that a test gives it, and attempts at directed yields that are only written down. One
// thread.
#pragma once

#include <functional>

#include "sched/yield/candidate.h"
#include "support.h"

namespace sched_test {

using Result = YieldAttempt::Result;

// Tells exactly who awaits whom.
class FakeIpi final : public IpiModel {
 public:
  void sending(const IpiSend&, Nanos) override {}
  void accepted(const IpiSend&, const VcpuSet&, Nanos) override {}
  void forget(uint32_t) override {}
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
      : statuses_(new Status[n]),
        progress_(new Progress[n]),
        after_donation_(new std::atomic<bool>[n]()),
        n_(n) {
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
    progress_[i].off_since = when;
  }
  // Took itself off in a wait that began at this time.
  void waiting_since(uint32_t i, int64_t when) {
    spinning(i);
    progress_[i].waiting_since = when;
  }
  void spinning(uint32_t i) {
    preempted(i, true);
    at(i).set_spinning();
  }
  void after_donation(uint32_t i) { after_donation_[i] = true; }
  std::optional<uint32_t> spin() {
    attempts.tried.clear();
    attempts.reasons.clear();
    return directed_yield(policy,
                          {{statuses_.get(), n_},
                           {progress_.get(), n_},
                           {after_donation_.get(), n_},
                           me,
                           start_after,
                           in_kernel,
                           ipi.waits.empty() ? nullptr : &ipi,
                           handovers,
                           true,
                           spins_before,
                           pages,
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
  GuestPages pages;

 private:
  std::unique_ptr<Status[]> statuses_;
  std::unique_ptr<Progress[]> progress_;
  std::unique_ptr<std::atomic<bool>[]> after_donation_;
  uint32_t n_;
};

using Tried = std::vector<uint32_t>;

}  // namespace sched_test
